"""Predictions as lines: a table for people, JSON lines, CSV."""

import csv
import io
from collections.abc import Callable
from typing import Final

import click

from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.text import is_showable

Ranking = list[tuple[str, float]]
Row = Callable[[str, Ranking, bool], str]
"""Makes a line of a picture's name, its classes with probabilities (best first; none where the model gives no answer),
and whether the answer is unsure."""

UNSURE: Final = "(unsure)"
NO_ANSWER: Final = "(no answer)"


def table_row(name: str, top: Ranking, unsure: bool) -> str:
    """Return the name and the classes with their probabilities, with tabs between; an unsure answer says so first.

    Without an answer, the name and `(no answer)`.
    """
    shown = "".join(sign if is_showable(sign) else sign.encode("unicode_escape").decode() for sign in _readable(name))
    remark = [NO_ANSWER] if not top else [UNSURE] if unsure else []
    columns = [shown, *remark, *(f"{label} {probability:.4f}" for label, probability in top)]
    return "\t".join(columns)


def json_row(name: str, top: Ranking, unsure: bool) -> str:
    """Return a JSON object; `class` is null for an unsure answer, and `probability` as well where there is none."""
    classes = [{"class": label, "probability": probability} for label, probability in top]
    label, probability = top[0] if top else (None, None)
    answer = {"class": None if unsure else label, "probability": probability}
    return strict_json({"path": _readable(name), **answer, "top": classes})


def csv_row(name: str, top: Ranking, unsure: bool, *, count: int = 0) -> str:
    """Return a row as `csv_header(count)` names it.

    `class` is empty for an unsure answer; all but the name is where there is none.
    """
    ranked = [value for pair in top for value in pair]
    ranked += [""] * (2 * count - len(ranked))
    label, probability = top[0] if top else ("", "")
    return _csv([_readable(name), "" if unsure else label, probability, *ranked])


def csv_header(top: int) -> str:
    """Return the header of a CSV file with that many classes a row."""
    return _csv(["path", "class", "probability", *(f"{kind}_{n + 1}" for n in range(top) for kind in ("class", "p"))])


ROWS: Final[dict[str, Row]] = {"table": table_row, "jsonl": json_row, "csv": csv_row}


def _readable(name: str) -> str:
    # Bytes of a file name that are no UTF-8 become replacement characters.
    return click.format_filename(name)


def _csv(values: list[str | float]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()
