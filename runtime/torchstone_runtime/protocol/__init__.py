"""The Open Inference Protocol in Triton's dialect: from the bytes of a request to tensors, and back; no network."""
