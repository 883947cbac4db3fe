"""Labelled pictures before a model sees them: what can't be read, what is duplicated, what is labelled wrongly."""
