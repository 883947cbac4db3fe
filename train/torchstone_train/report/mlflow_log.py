"""A training as a run of MLflow, at `MLFLOW_TRACKING_URI`; without it, in the place that MLflow itself takes."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.version import __version__
from torchstone_train.report.epoch_scalars import epoch_scalars
from torchstone_train.training.observer import Record

EXPERIMENT: Final = "torchstone"
"""Name of the experiment where `MLFLOW_EXPERIMENT_NAME` names none."""
_LONGEST: Final = 500
"""Characters of a parameter's value that MLflow's file store takes."""


class MlflowLog:
    """An observer of the training that writes a run of MLflow.

    A training that goes on with `--resume` is a run of its own, which begins with the epochs that were done.

    Args:
        run: directory of the run, after which MLflow's is named.
        settings: the hyper-parameters.
        title: names of the recipe and the dataset.
    """

    def __init__(self, run: Path, settings: Mapping[str, Any], title: str) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415 - optional
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - likewise

        self._client, self._metric = MlflowClient(), Metric
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if found is None else found.experiment_id
        self._id = self._client.create_run(experiment, run_name=run.name).info.run_id
        tags = {"torchstone.version": __version__, "torchstone.run": str(run.resolve()), "torchstone.title": title}
        self._client.log_batch(
            self._id,
            params=[Param(key, str(value)[:_LONGEST]) for key, value in settings.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )

    def training_begins(self, history: Sequence[Record]) -> None:
        """Write the epochs that a resumed run has done already."""
        for record in history:
            self.epoch_ended(record)

    def epoch_ended(self, record: Record) -> None:
        """Write an epoch's figures."""
        self._write(dict(epoch_scalars(record)), record["epoch"])

    def training_ended(self, final: Mapping[str, float], files: Iterable[Path]) -> None:
        """Write the figures of the weights that were kept, and end the run."""
        self._write({f"final/{name}": value for name, value in final.items()}, 0)
        for file in files:
            self._client.log_artifact(self._id, str(file))
        self._client.set_terminated(self._id, "FINISHED")

    def training_failed(self) -> None:
        """End the run as one that failed."""
        self._client.set_terminated(self._id, "FAILED")

    def _write(self, values: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        self._client.log_batch(
            self._id, metrics=[self._metric(key, float(value), now, step) for key, value in values.items()]
        )
