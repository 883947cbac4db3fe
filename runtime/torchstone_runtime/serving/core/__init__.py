"""The server without its protocol: verified models, a queue, batches, decoding; everything but HTTP."""
