"""The command line `torchstone`."""
