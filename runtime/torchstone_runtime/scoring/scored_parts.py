"""Parts that `torchstone score` wrote of labelled pictures, read back to be measured without a second pass."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.errors import DataError, first_line
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.probability_scores import ProbabilityScores, ScoreTally
from torchstone_runtime.scoring.encoders import SUFFIXES
from torchstone_runtime.scoring.folder_record import read_record
from torchstone_runtime.scoring.job import OutputOptions, ScoringJob
from torchstone_runtime.scoring.parts import PartsFolder
from torchstone_runtime.shards.read_options import ReadOptions

_BLOCK: Final = 4096
_LONGEST_CELL: Final = 1 << 26
"""Characters of a cell that is read: a set of thousands of classes is one cell."""
_REMEDY: Final = "Score labelled data: a folder per class, or --label-column."


@dataclass(frozen=True, eq=False, slots=True)
class ScoredParts:
    """The labelled rows of a finished job.

    Attributes:
        record: content of the job's `_torchstone.json`.
        predictions: decisions; a row with an error counts as one without an answer.
        scores: scores of the probabilities; None where the parts hold only those of the chosen classes.
    """

    record: Mapping[str, Any]
    predictions: LabelledPredictions
    scores: ProbabilityScores | None


def read_scored(out: str, bundle: Bundle) -> ScoredParts:
    """Read all parts of a job.

    Args:
        out: folder or address that `torchstone score` wrote to.
        bundle: bundle of the model that scored.

    Raises:
        DataError: no such job, one of another model, parts that are missing or not readable, or rows without a label.
    """
    record = read_record(ScoringJob(out=out, reading=ReadOptions(), output=OutputOptions()))
    output = OutputOptions(**record["output"])
    if record["model"]["sha256"] not in {entry.sha256 for entry in bundle.manifest.variants.values()}:
        raise DataError(f"{out} was scored by another model than that of {bundle.path}.", "Give the one that scored.")
    folder = PartsFolder(ScoringJob(out=out, reading=ReadOptions(), output=output))
    names = sorted(folder.done())
    if len(names) != record["input"]["shards"]:
        raise DataError(
            f"{out} holds {len(names):,} of {record['input']['shards']:,} parts.",
            "Run its torchstone score again: it continues where it stopped.",
        )
    count = sum(folder.tally(name).rows for name in names) if output.probabilities else None
    rows = _Rows(tuple(record["model"]["classes"]), count)
    for name in names:
        path = folder.path(name + SUFFIXES[output.form])
        try:
            for row in _read(folder.storage.read(path), output, rows.class_names):
                rows.add(row)
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise DataError(
                f"{folder.address(path)} cannot be read: {first_line(error)}.", "Remove it, and score again."
            ) from error
    if rows.unlabelled or not rows.labels:
        total = rows.unlabelled + len(rows.labels)
        raise DataError(f"{rows.unlabelled:,} of {total:,} rows of {out} have no label.", _REMEDY)
    return rows.finish(record)


class _Rows:
    """Rows as arrays to be: the probabilities are scored a block at a time."""

    def __init__(self, class_names: tuple[str, ...], scored: int | None) -> None:
        self.class_names = class_names
        self.labels: list[int] = []
        self.unlabelled = 0
        self._index = {name: index for index, name in enumerate(class_names)}
        self._tally = None if scored is None else ScoreTally(scored)
        self._ids: list[str] = []
        self._chosen: list[int] = []
        self._confidence: list[float] = []
        self._probabilities: list[Any] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a row."""
        if not row["label"]:
            self.unlabelled += 1
            return
        self._ids.append(row["id"])
        self.labels.append(self._index[row["label"]])
        self._chosen.append(self._index[row["class"]] if row["class"] else NO_ANSWER)
        self._confidence.append(float(row["probability"] or 0.0))
        if self._tally is not None:
            given = row["probabilities"] or [0.0] * len(self.class_names)
            self._probabilities.append(np.array(given, np.float32))
            if len(self._probabilities) == _BLOCK:
                self._score(self._tally)

    def finish(self, record: Mapping[str, Any]) -> ScoredParts:
        """Return all rows."""
        labels, chosen = np.array(self.labels, np.int64), np.array(self._chosen, np.int64)
        confidence = np.array(self._confidence, np.float32)
        predictions = LabelledPredictions(self._ids, self.class_names, labels, chosen, confidence)
        if self._tally is not None:
            self._score(self._tally)
        return ScoredParts(record, predictions, None if self._tally is None else self._tally.scores())

    def _score(self, tally: ScoreTally) -> None:
        if count := len(self._probabilities):
            values = np.stack(self._probabilities)
            labels, chosen = np.array(self.labels[-count:]), np.array(self._chosen[-count:])
            tally.add(values, values, labels, chosen != NO_ANSWER)
            self._probabilities = []


def _read(content: bytes, output: OutputOptions, class_names: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    if output.form == "jsonl":
        yield from map(json.loads, content.splitlines())
    elif output.form == "csv":
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
        for row in csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True):
            values = (
                [float(row[f"p({name})"]) for name in class_names] if output.probabilities and row["class"] else None
            )
            yield {**row, "probabilities": values}
    else:
        import pyarrow.parquet as pq  # noqa: PLC0415 - optional

        columns = ["id", "label", "class", "probability", *(["probabilities"] if output.probabilities else [])]
        for batch in pq.ParquetFile(io.BytesIO(content)).iter_batches(columns=columns):
            yield from batch.to_pylist()
