"""Two models as one file: a fast one that passes what it is unsure of to an accurate one."""
