"""What other servers, containers, functions and clients need of a bundle, as files."""
