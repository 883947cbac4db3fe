"""From picture files and arrays to the uint8 pixels that a model takes."""
