"""How often intervals hold the truth: simulated populations whose truth is known."""
