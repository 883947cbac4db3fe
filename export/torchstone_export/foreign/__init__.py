"""Models that Torchstone did not train: PyTorch modules and ONNX files."""
