"""docs/reference/api.md is what the docstrings say."""

import runpy
from pathlib import Path

TOOL = Path(__file__).parents[2] / "docs" / "tools" / "api_reference.py"


def test_the_reference_is_that_of_the_docstrings() -> None:
    """Else run `python docs/tools/api_reference.py`."""
    tool = runpy.run_path(str(TOOL))
    assert tool["PAGE"].read_text(encoding="utf-8") == tool["page"]()
