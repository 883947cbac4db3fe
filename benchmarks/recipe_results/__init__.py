"""The recipes over several seeds, beside what was asked of them and what was reported: docs/reference/results.md."""
