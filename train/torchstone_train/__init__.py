"""Torchstone's training: named recipes, resident data, runs that can be exported."""
