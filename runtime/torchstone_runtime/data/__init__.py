"""Labelled images: readers for IDX files, npz files, folders and the embedded digits."""
