"""The cross-validation that `torchstone.train(..., folds=N)` leaves."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchstone.training_run import TrainingRun
from torchstone_runtime.errors import DataError
from torchstone_runtime.frames import make_frame
from torchstone_runtime.html_table import html_table

_INFO = "crossvalidation.json"
_FIGURES = ("accuracy", "balanced_accuracy", "f1_macro", "loss")


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """A cross-validation on disk: a run for each fold, and what they say of images that they have not seen.

    Attributes:
        path: its directory; `predictions.npz` there holds the probabilities of all training images.
        info: content of its `crossvalidation.json`: settings, figures of each fold, their mean and standard deviation,
            and metrics over all images with their confusion matrix (`all_images`).
    """

    path: Path
    info: dict[str, Any]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "CrossValidation":
        """Read the cross-validation at `path`.

        Raises:
            DataError: there is none, it is damaged, or it is not complete.
        """
        file = Path(path) / _INFO
        try:
            info = json.loads(file.read_bytes())
            state = info["state"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"There is no cross-validation at {path}: {_INFO} is missing or damaged.") from error
        if state != "complete":
            raise DataError(f"The cross-validation at {path} is not complete.", "Continue it: resume=True.")
        return cls(Path(path), info)

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the folds, 0 to 1."""
        return float(self.info["mean"]["accuracy"])

    @property
    def mean(self) -> dict[str, float]:
        """Mean over the folds of accuracy, balanced accuracy, macro F1 and loss, by name."""
        return dict(self.info["mean"])

    @property
    def standard_deviation(self) -> dict[str, float]:
        """Standard deviation of the same figures over the folds, of the sample."""
        return dict(self.info["standard_deviation"])

    @property
    def runs(self) -> Iterator[TrainingRun]:
        """The runs of the folds, in their order."""
        return (TrainingRun.open(self.path / fold["run"]) for fold in self.info["folds"])

    def to_dict(self) -> dict[str, Any]:
        """Return path and content as JSON data."""
        return {"path": str(self.path), **self.info}

    def to_pandas(self) -> Any:  # noqa: ANN401 - a pandas.DataFrame, where pandas is installed
        """Return a row per fold as a pandas DataFrame.

        Raises:
            MissingComponentError: pandas is not installed.
        """
        return make_frame(list(self.info["folds"]))

    def __repr__(self) -> str:
        deviation = self.standard_deviation["accuracy"]
        folds = len(self.info["folds"])
        return f"CrossValidation({str(self.path)!r}, {folds} folds, accuracy {self.accuracy:.4f} ± {deviation:.4f})"

    def _repr_html_(self) -> str:
        rows = [[fold["fold"], *(float(fold[name]) for name in _FIGURES)] for fold in self.info["folds"]]
        rows += [
            [label, *(float(found[name]) for name in _FIGURES)]
            for label, found in (("mean", self.mean), ("standard deviation", self.standard_deviation))
        ]
        return html_table(["fold", *_FIGURES], rows)
