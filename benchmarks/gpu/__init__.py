"""Everything that needs a GPU, measured in pieces of a few minutes; README.md beside this has the calls."""
