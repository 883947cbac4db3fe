"""Writing a bundle: files, manifest, model card, signature, publication."""
