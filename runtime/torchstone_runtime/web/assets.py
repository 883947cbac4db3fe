"""The files of the pages: style sheet and JavaScript modules."""

from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent / "static"
"""Folder of the modules."""
