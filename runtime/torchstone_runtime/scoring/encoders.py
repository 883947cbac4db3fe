"""Rows as the bytes of a part: Parquet, CSV or JSON lines, a batch at a time."""

from collections.abc import Mapping, Sequence
from typing import IO, Any, Final, Protocol

from torchstone_runtime.csv_text import csv_line
from torchstone_runtime.scoring.job import OutputOptions
from torchstone_runtime.strict_json import strict_json

Columns = Mapping[str, Sequence[Any]]


class Encoder(Protocol):
    """Writes the rows of one part."""

    def add(self, columns: Columns) -> None:
        """Append rows, as `ScoredRows.columns` has them."""

    def close(self) -> None:
        """Write what comes last; the file stays open."""


class JsonLinesEncoder:
    """One JSON object a line; `top` has pairs of class and probability."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, columns: Columns) -> None:
        """See `Encoder`."""
        lines = []
        for row in zip(*columns.values(), strict=True):
            record = dict(zip(columns, row, strict=True))
            if "top_classes" in record:
                record = _with_pairs(record)
            lines.append(strict_json(record, ensure_ascii=True))
        self._file.write("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        """See `Encoder`."""


class CsvEncoder:
    """CSV with a header; `class_1`, `p_1`, … are the best classes, `p(CLASS)` all; a set is a JSON array of names."""

    def __init__(self, file: IO[bytes], output: OutputOptions, class_names: Sequence[str]) -> None:
        self._file = file
        self._top = min(output.top, len(class_names))
        ranked = [f"{kind}_{n + 1}" for n in range(self._top) for kind in ("class", "p")]
        every = [f"p({name})" for name in class_names] if output.probabilities else []
        chosen = ["set"] if output.coverage is not None else []
        self._classes = len(class_names)
        self._write(["id", "label", "class", "probability", *ranked, *every, *chosen, "error"])

    def add(self, columns: Columns) -> None:
        """See `Encoder`."""
        for row in zip(*columns.values(), strict=True):
            self._write(self._cells(dict(zip(columns, row, strict=True))))

    def close(self) -> None:
        """See `Encoder`."""

    def _cells(self, record: Mapping[str, Any]) -> list[Any]:
        cells = [record["id"], record["label"], record["class"], record["probability"]]
        if self._top:
            pairs = zip(record["top_classes"] or (), record["top_probabilities"] or (), strict=True)
            ranked = [value for pair in pairs for value in pair]
            cells += ranked + [None] * (2 * self._top - len(ranked))
        if "probabilities" in record:
            cells += record["probabilities"] or [None] * self._classes
        if "set" in record:
            cells.append(None if record["set"] is None else strict_json(record["set"]))
        return [*cells, record["error"]]

    def _write(self, row: Sequence[Any]) -> None:
        self._file.write(f"{csv_line(row)}\n".encode())


def open_encoder(file: IO[bytes], output: OutputOptions, class_names: Sequence[str]) -> Encoder:
    """Return the encoder of a part.

    Raises:
        MissingComponentError: Parquet, and pyarrow is not installed.
    """
    if output.form == "csv":
        return CsvEncoder(file, output, class_names)
    if output.form == "jsonl":
        return JsonLinesEncoder(file)
    from torchstone_runtime.scoring.parquet_encoder import ParquetEncoder  # noqa: PLC0415 - pyarrow, where needed

    return ParquetEncoder(file, output, len(class_names))


SUFFIXES: Final = {"parquet": ".parquet", "csv": ".csv", "jsonl": ".jsonl"}


def _with_pairs(record: Mapping[str, Any]) -> dict[str, Any]:
    names, values = record["top_classes"], record["top_probabilities"]
    pairs = zip(names or (), values or (), strict=True)
    top = None if names is None else [{"class": name, "probability": value} for name, value in pairs]
    return {
        ("top" if key == "top_classes" else key): (top if key == "top_classes" else value)
        for key, value in record.items()
        if key != "top_probabilities"
    }
