"""Measured results of the recipes, and the page that shows them."""
