"""Whether pictures, and the answers to them, are still like those that a model was measured on."""
