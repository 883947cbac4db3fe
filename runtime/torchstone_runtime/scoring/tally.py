"""`Tally`: what a shard's rows add up to; tallies of shards add up to that of the whole."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np

from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.scoring.rows import ScoredRows, error_kind

CONFIDENCE_STEPS: Final = 20
MOST_KINDS: Final = 50
OTHER_KINDS: Final = "other errors"


@dataclass(slots=True)
class Tally:
    """Counts of rows.

    Attributes:
        rows: number of rows.
        errors: number of rows with an error, by the kind of error (`rows.error_kind`); beyond `MOST_KINDS` kinds
            under `OTHER_KINDS`.
        classes: number of answers by chosen class; classes that were never chosen are left out.
        confidences: number of answers by confidence, in `CONFIDENCE_STEPS` steps of equal width from 0 to 1.
        labelled: number of rows whose right class is known, and of these
        correct: number of right answers.
        drift: answered images by cell of the reference, for each of `drift.reference.FEATURES`, cells without images
            left out; empty where drift was not asked for.
    """

    rows: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    confidences: Counter[int] = field(default_factory=Counter)
    labelled: int = 0
    correct: int = 0
    drift: list[Counter[int]] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Number of rows with an error."""
        return self.errors.total()

    @classmethod
    def of(cls, rows: ScoredRows) -> Self:
        """Count rows."""
        found = rows.predictions
        chosen = found.indices_or_none
        given = chosen != NO_ANSWER
        steps = np.minimum(found.confidences[given] * CONFIDENCE_STEPS, CONFIDENCE_STEPS - 1).astype(np.int64)
        names = found.class_names
        answers = {int(place): names[index] for place, index in zip(rows.places, chosen, strict=True) if index >= 0}
        known = [(place, label) for place, label in enumerate(rows.labels) if label is not None]
        tally = cls(
            rows=len(rows),
            errors=Counter(error_kind(error) for error in rows.errors if error is not None),
            classes=Counter(answers.values()),
            confidences=_counted(steps),
            labelled=len(known),
            correct=sum(answers.get(place) == label for place, label in known),
            drift=[] if rows.cells is None else [_counted(column) for column in rows.cells[given].T],
        )
        tally._bound_kinds()
        return tally

    def add(self, other: "Tally") -> None:
        """Add the counts of other rows."""
        self.rows += other.rows
        self.labelled += other.labelled
        self.correct += other.correct
        self.errors.update(other.errors)
        self.classes.update(other.classes)
        self.confidences.update(other.confidences)
        if other.drift:
            self.drift = self.drift or [Counter() for _ in other.drift]
            for own, more in zip(self.drift, other.drift, strict=True):
                own.update(more)
        self._bound_kinds()

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON data."""
        return {
            "rows": self.rows,
            "errors": dict(self.errors),
            "classes": dict(self.classes),
            "confidences": _sorted(self.confidences),
            "labelled": self.labelled,
            "correct": self.correct,
            "drift": [_sorted(column) for column in self.drift],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the tally that `to_json` was called on."""
        return cls(
            rows=data["rows"],
            errors=Counter(data["errors"]),
            classes=Counter(data["classes"]),
            confidences=_read(data["confidences"]),
            labelled=data["labelled"],
            correct=data["correct"],
            drift=[_read(column) for column in data["drift"]],
        )

    def _bound_kinds(self) -> None:
        kept = dict(self.errors.most_common(MOST_KINDS))
        if len(kept) < len(self.errors):
            others = self.errors.total() - sum(kept.values())
            self.errors = Counter(kept)
            self.errors[OTHER_KINDS] += others


def _counted(values: "np.ndarray[Any, Any]") -> Counter[int]:
    found, counts = np.unique(values, return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def _sorted(counts: Counter[int]) -> dict[str, int]:
    return {str(key): counts[key] for key in sorted(counts)}


def _read(counts: Mapping[str, int]) -> Counter[int]:
    return Counter({int(key): value for key, value in counts.items()})
