"""Pages are Markdown templates (`*.md.in`) with slots, so that prose is edited as prose; scripts fill the slots."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_SLOT = re.compile(r"\{\{ (\w+) \}\}")
_SECTION = re.compile(r"^(?=## )", re.MULTILINE)


def render(template: Path, values: Mapping[str, str | None]) -> str:
    """Return the page: each `{{ slot }}` of the template filled with its value.

    Args:
        template: the file.
        values: the text of each slot; None where nothing was measured. The section (from a heading `##` to the next)
            that has such a slot is left out.

    Raises:
        ValueError: the template has other slots than there are values.
    """
    text = template.read_text(encoding="utf-8")
    if different := set(_SLOT.findall(text)) ^ set(values):
        raise ValueError(f"{template.name} and its values differ in {', '.join(sorted(different))}")
    return "".join(filter(None, (_filled(section, values) for section in _SECTION.split(text))))


def _filled(section: str, values: Mapping[str, str | None]) -> str | None:
    found = {name: values[name] for name in _SLOT.findall(section)}
    if None in found.values():
        return None
    return _SLOT.sub(lambda match: str(found[match[1]]), section)


def table_rows(rows: Iterable[Iterable[object]]) -> str:
    """Return the rows of a Markdown table, a line each; its head stands in the template."""
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in rows)
