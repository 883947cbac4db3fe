"""Answering requests with bundles that have proven themselves: `torchstone serve`."""
