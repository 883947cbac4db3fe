"""Torchstone's export: TorchScript and ONNX files that are proven to decide as the trained model does."""
