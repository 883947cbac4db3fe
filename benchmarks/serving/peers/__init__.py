"""Programs that serve a bundle's ONNX file with other servers; each runs in an environment of its own."""
