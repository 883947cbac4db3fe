"""The same tasks by PyTorch and OpenVINO, as their documentation advises."""
