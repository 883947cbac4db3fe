"""The run that a training leaves, as its program sees it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchstone_runtime.components import require_component
from torchstone_runtime.frames import make_frame
from torchstone_runtime.html_table import html_sentence, html_table, more_rows

_EPOCHS_SHOWN = 30
PACKAGES = ("torch", "torchvision", "safetensors", "tqdm")


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A training on disk.

    Attributes:
        path: the run directory.
        info: content of its `run.json`: recipe, seed, data, device, versions and how it ended.
        history: a record per epoch: training and validation figures, learning rate, images/s.
    """

    path: Path
    info: dict[str, Any]
    history: tuple[dict[str, Any], ...]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "TrainingRun":
        """Read the run at `path`.

        Raises:
            DataError: there is none, or it is damaged.
            MissingComponentError: the extra `train` is not installed.
        """
        require_component("train", *PACKAGES)
        from torchstone_train.run.run_dir import RunDirectory  # noqa: PLC0415 - loads PyTorch

        run = RunDirectory.open(Path(path))
        return cls(run.path, run.read_info(), tuple(run.read_history()))

    @property
    def recipe(self) -> str:
        """Name of the recipe."""
        return str(self.info["recipe"]["name"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes in the order of the model's outputs."""
        return tuple(self.info["class_names"])

    @property
    def best_epoch(self) -> int:
        """Epoch whose weights are kept, counted from 1; 0 where none was completed or reached the beginning."""
        return int(self.info.get("best_epoch", 0))

    @property
    def metrics(self) -> dict[str, float]:
        """Validation figures of the weights that are kept; empty where no epoch was completed.

        They are of the best epoch, or of a fine-tuning's fitted last layer where every epoch was worse.
        """
        beginning = self.info.get("beginning") or {}
        kept = (epoch["validation"] for epoch in self.history if epoch["epoch"] == self.best_epoch)
        return dict(next(kept, beginning))

    def to_dict(self) -> dict[str, Any]:
        """Return path, `run.json`, metrics and history as JSON data."""
        return {"path": str(self.path), "run": self.info, "metrics": self.metrics, "history": list(self.history)}

    def to_pandas(self) -> Any:  # noqa: ANN401 - a pandas.DataFrame, where pandas is installed
        """Return the history as a pandas DataFrame: a row per epoch, columns such as `validation_accuracy`.

        Raises:
            MissingComponentError: pandas is not installed.
        """
        return make_frame([_flat(epoch) for epoch in self.history])

    def __repr__(self) -> str:
        accuracy = self.metrics.get("accuracy")
        said = "no epoch completed" if accuracy is None else f"validation accuracy {accuracy:.4f}"
        return f"TrainingRun({str(self.path)!r}, {self.recipe!r}, {len(self.history)} epochs, {said})"

    def _repr_html_(self) -> str:
        names = ("loss", "accuracy", "f1_macro")
        head = ["epoch", *(f"{part} {name}" for part in ("train", "validation") for name in names), ""]
        shown = [epoch for epoch in self.history[:-_EPOCHS_SHOWN] if epoch["epoch"] == self.best_epoch]
        shown += self.history[-_EPOCHS_SHOWN:]
        rows = [
            [
                epoch["epoch"],
                *(float(epoch[part][name]) for part in ("train", "validation") for name in names),
                "kept" if epoch["epoch"] == self.best_epoch else "",
            ]
            for epoch in shown
        ]
        return html_sentence(repr(self)) + html_table(head, rows) + more_rows(len(self.history), len(shown), "epochs")


def _flat(epoch: dict[str, Any]) -> dict[str, Any]:
    parts = {f"{part}_{name}": value for part in ("train", "validation") for name, value in epoch[part].items()}
    return {name: value for name, value in epoch.items() if name not in ("train", "validation")} | parts
