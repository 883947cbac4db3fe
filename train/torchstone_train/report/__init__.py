"""A run's figures, TensorBoard log and HTML report."""
