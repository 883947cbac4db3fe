"""The values of an option come from the type that the code behind it is written for, so that none is forgotten."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_command_repeats_the_values_of_a_type() -> None:
    """`click.Choice` takes `get_args` of a Literal, or a table's names: no list of strings that stands there again."""
    modules = [path for package in ("runtime", "train", "export") for path in (ROOT / package).rglob("cli/*.py")]
    typed = {path.name: re.findall(r"Choice\(\[\s*\"\w+\",\s*\"", path.read_text(encoding="utf-8")) for path in modules}
    assert {name: found for name, found in typed.items() if found} == {}
    assert sum("click.Choice(" in path.read_text(encoding="utf-8") for path in modules) > 8, "the search itself works"
