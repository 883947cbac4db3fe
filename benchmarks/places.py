"""Where the measurements lie that are kept, and the documentation that is made of them."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
"""The checkout."""
DOCS: Final = ROOT / "docs"
RESULTS: Final = ROOT / "benchmarks" / "results"
