"""Results as text, HTML, JSON and CSV."""
