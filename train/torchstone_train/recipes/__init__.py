"""Named training configurations and what they were measured to reach."""
