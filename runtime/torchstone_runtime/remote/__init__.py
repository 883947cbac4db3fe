"""A model on a server: a client of the Open Inference Protocol (REST), and the golden samples sent through it."""
