"""What lies at a path that was given, told by its content, and what to say where a command needs something else."""
