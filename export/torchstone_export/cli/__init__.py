"""The commands `export`, `adopt` and `quickstart`."""
