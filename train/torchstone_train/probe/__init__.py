"""Probe: a frozen backbone whose last layer is a logistic regression on its features."""
