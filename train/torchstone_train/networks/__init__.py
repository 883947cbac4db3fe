"""Network architectures and the classifier that adds input normalisation to them."""
