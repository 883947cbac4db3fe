"""Predictions as lines: a table for people, JSON lines, CSV."""

import re
from collections.abc import Callable, Sequence
from typing import Final

import click

from torchstone_runtime.csv_text import csv_line
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.text import showable

Ranking = list[tuple[str, float]]
Members = Sequence[str] | None
Row = Callable[[str, Ranking, bool, Members], str]
"""Makes a line of a picture's name, its classes with probabilities (best first; none where the model gives no answer),
whether the answer is unsure, and its set of classes, where one was asked for."""

UNSURE: Final = "(unsure)"
NO_ANSWER: Final = "(no answer)"
_SOME_LINE_ENDS: Final = re.compile("[\x85\u2028\u2029]")


def table_row(name: str, top: Ranking, unsure: bool, members: Members = None) -> str:
    """Return the name and the classes with their probabilities, with tabs between; an unsure answer says so first.

    Without an answer, the name and `(no answer)`. A set of classes comes last, in braces. Control characters, newlines
    included, are shown as escapes.
    """
    chosen = [] if members is None else [f"{{{', '.join(members)}}}"]
    remark = [NO_ANSWER] if not top else [UNSURE] if unsure else []
    columns = [_readable(name), *remark, *(f"{label} {probability:.4f}" for label, probability in top), *chosen]
    return "\t".join(map(showable, columns))


def json_row(name: str, top: Ranking, unsure: bool, members: Members = None) -> str:
    """Return a JSON object on one line; `class` is null for an unsure answer, `probability` as well without one.

    `set` has the names of a set of classes, where one was asked for.
    """
    classes = [{"class": label, "probability": probability} for label, probability in top]
    label, probability = top[0] if top else (None, None)
    answer = {"class": None if unsure else label, "probability": probability}
    chosen = {} if members is None else {"set": list(members)}
    record = strict_json({"path": _readable(name), **answer, "top": classes, **chosen})
    # Allowed within JSON, but a line ends there for some readers, Python's str.splitlines among them.
    return _SOME_LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", record)


def csv_row(name: str, top: Ranking, unsure: bool, members: Members = None, *, count: int = 0) -> str:
    """Return a row as `csv_header(count)` names it.

    `class` is empty for an unsure answer; all but the name is where there is none. A set of classes is a JSON array of
    names: no other separator is safe from all of them.
    """
    chosen = [] if members is None else [strict_json(list(members))]
    ranked = [value for pair in top for value in pair]
    ranked += [""] * (2 * count - len(ranked))
    label, probability = top[0] if top else ("", "")
    return csv_line([_readable(name), "" if unsure else label, probability, *ranked, *chosen])


def csv_header(top: int, *, sets: bool = False) -> str:
    """Return the header of a CSV file with that many classes per row, and a column `set` where sets are wanted."""
    ranked = [f"{kind}_{n + 1}" for n in range(top) for kind in ("class", "p")]
    return csv_line(["path", "class", "probability", *ranked, *(["set"] if sets else [])])


ROWS: Final[dict[str, Row]] = {"table": table_row, "jsonl": json_row, "csv": csv_row}


def _readable(name: str) -> str:
    # Bytes of a file name that are no UTF-8 become replacement characters.
    return click.format_filename(name)
