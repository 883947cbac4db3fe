"""The proof that an exported file decides as the trained model does."""
