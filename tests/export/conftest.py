"""Exports in the process of the tests share what PyTorch's exporter parses."""

import helpers.parsed_once  # noqa: F401 - for what it does
