"""A training as a run of Weights & Biases; its own variables (`WANDB_MODE`, `WANDB_PROJECT`, ...) say where."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.version import __version__
from torchstone_train.report.epoch_scalars import epoch_scalars
from torchstone_train.training.observer import Record

PROJECT: Final = "torchstone"
"""Name of the project where `WANDB_PROJECT` names none."""


class WandbLog:
    """An observer of the training that writes a run of Weights & Biases.

    A training that goes on with `--resume` is a run of its own, which begins with the epochs that were done.

    Args:
        run: directory of the run, after which the other is named.
        settings: the hyper-parameters.
        title: names of the recipe and the dataset.
    """

    def __init__(self, run: Path, settings: Mapping[str, Any], title: str) -> None:
        import wandb  # noqa: PLC0415 - optional

        config = {**settings, "torchstone_version": __version__, "run_directory": str(run.resolve())}
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=run.name,
            notes=title,
            config=config,
            settings=wandb.Settings(console="off", silent=True),
        )

    def training_begins(self, history: Sequence[Record]) -> None:
        """Write the epochs that a resumed run has done already."""
        for record in history:
            self.epoch_ended(record)

    def epoch_ended(self, record: Record) -> None:
        """Write an epoch's figures."""
        self._run.log(dict(epoch_scalars(record)), step=record["epoch"])

    def training_ended(self, final: Mapping[str, float], files: Iterable[Path]) -> None:
        """Write the figures of the weights that were kept, and end the run."""
        self._run.summary.update({f"final/{name}": float(value) for name, value in final.items()})
        for file in files:
            self._run.save(str(file), base_path=str(file.parent), policy="now")
        self._run.finish()

    def training_failed(self) -> None:
        """End the run as one that failed."""
        self._run.finish(exit_code=1)
