"""Predictions on labelled data: metrics, slices, robustness, comparison of two models."""
