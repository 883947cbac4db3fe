"""A model in a browser: the page that shows its answers, and a site that runs it there."""
