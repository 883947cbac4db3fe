"""The page of what was measured on a GPU."""

import json
from pathlib import Path

from benchmarks.gpu.page import page


def test_the_page_says_whether_a_missing_library_was_named(tmp_path: Path) -> None:
    """The aim stands above it."""
    result = {"refused": True, "names_it": False, "auto_works": True}
    steps = {"without libcudnn.so.9": {"state": "done", "seconds": 1.0, "result": result}}
    (tmp_path / "fail_closed.json").write_text(json.dumps({"steps": steps}))

    assert "| without libcudnn.so.9 | refused True; names it False; auto works True |" in page(tmp_path)
