"""CSV as RFC 4180 quotes it, with newlines for line ends."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

_STANDARD_END: Final = "\r\n"


def csv_line(values: Sequence[Any]) -> str:
    """Return one record without its line end; it spans several lines where a value does.

    A value with a comma, a quote, a newline or a carriage return is quoted.
    """
    buffer = io.StringIO()
    # Before Python 3.13 the characters of the writer's own line end are quoted, and no other newline is.
    csv.writer(buffer, lineterminator=_STANDARD_END).writerow(values)
    return buffer.getvalue().removesuffix(_STANDARD_END)


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return records, each with a newline at its end."""
    return "".join(f"{csv_line(row)}\n" for row in rows)
