"""The commands `export`, `adopt`, `quickstart` and `reproduce`."""
