"""Labelled pictures before a model sees them: what can't be read, what is there twice, what is labelled wrongly."""
