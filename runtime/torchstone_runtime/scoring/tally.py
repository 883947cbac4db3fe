"""`Tally`: what a shard's rows add up to; tallies of shards add up to that of the whole."""

from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(slots=True)
class Tally:
    """Counts of rows.

    Attributes:
        rows: number of rows.
        errors: number of rows with an error, by the kind of error: its text without names.
        classes: number of answers by chosen class.
        confidences: number of answers by confidence, in `CONFIDENCE_STEPS` steps of equal width from 0 to 1.
        labelled, correct: numbers of answers and errors whose right class is known, and of those that are right.
        drift: for each number that `drift` compares, by name, the images by cell of the reference; empty where not
            asked for.
    """

    rows: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    confidences: list[int] = field(default_factory=list)
    labelled: int = 0
    correct: int = 0
    drift: dict[str, list[int]] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Number of rows with an error."""
        return sum(self.errors.values())

    def add(self, other: "Tally") -> None:
        """Add the counts of other rows."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON data."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the tally that `to_json` was called on."""
        raise NotImplementedError
