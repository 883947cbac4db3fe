"""Speed of training, against the starting documents' loops: docs/training-speed.md."""
