"""One name, one idea: whoever searches for a class finds the one that is meant."""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_two_public_classes_share_a_name() -> None:
    """Across runtime, training and export."""
    found: dict[str, list[str]] = defaultdict(list)
    for package in ("runtime", "train", "export"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for name in re.findall(r"^class ([A-Z]\w*)", path.read_text(encoding="utf-8"), re.MULTILINE):
                found[name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}
    assert len(found) > 100, "the search itself works"
