"""Every picture of a large input scored exactly once: what a job is, a shard scored, and the engine of this machine."""
