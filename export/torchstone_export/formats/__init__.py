"""Writers of model files: ONNX and TorchScript."""
