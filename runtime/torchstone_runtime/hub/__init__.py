"""Bundles on the Hugging Face Hub, or on a server that speaks as it does."""
