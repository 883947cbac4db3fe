"""Predictions as lines: a table for people, JSON lines, CSV."""

import csv
import io
import json
from collections.abc import Callable
from typing import Final

import click

from torchstone_runtime.text import is_showable

Ranking = list[tuple[str, float]]
Row = Callable[[str, Ranking, bool], str]
"""Makes a line of a picture's name, its classes with probabilities (best first), and whether the answer is unsure."""

UNSURE: Final = "(unsure)"


def table_row(name: str, top: Ranking, unsure: bool) -> str:
    """Return the name and the classes with their probabilities, with tabs between; an unsure answer says so first."""
    shown = "".join(sign if is_showable(sign) else sign.encode("unicode_escape").decode() for sign in _readable(name))
    columns = [shown, *([UNSURE] if unsure else []), *(f"{label} {probability:.4f}" for label, probability in top)]
    return "\t".join(columns)


def json_row(name: str, top: Ranking, unsure: bool) -> str:
    """Return a JSON object; `class` is null for an unsure answer."""
    classes = [{"class": label, "probability": probability} for label, probability in top]
    answer = {"class": None if unsure else top[0][0], "probability": top[0][1]}
    return json.dumps({"path": _readable(name), **answer, "top": classes}, ensure_ascii=False)


def csv_row(name: str, top: Ranking, unsure: bool) -> str:
    """Return a row as `csv_header` names it; `class` is empty for an unsure answer."""
    ranked = [value for pair in top for value in pair]
    return _csv([_readable(name), "" if unsure else top[0][0], top[0][1], *ranked])


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
