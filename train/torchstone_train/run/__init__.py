"""The run directory: what a training writes and resumes from."""
