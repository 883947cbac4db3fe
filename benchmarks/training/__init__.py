"""Speed of training, against the starting documents' loops: docs/reference/training-speed.md."""
