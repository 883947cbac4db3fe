"""What serving asks of a model: speed under load, drift that is found, sets that hold the right class."""
