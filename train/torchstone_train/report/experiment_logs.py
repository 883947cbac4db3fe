"""Logs of other people's systems that watch a training where they are asked for: MLflow, Weights & Biases."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from torchstone_runtime.components import require_component
from torchstone_runtime.errors import RemoteError, UsageError, first_line, suggestion
from torchstone_train.training.observer import Record

EXPERIMENT_LOGS: Final = ("mlflow", "wandb")
"""Names of the logs: of the packages and of the extras that bring them, too."""


class ExperimentLog(Protocol):
    """An observer that is told of the end as well."""

    def training_begins(self, history: Sequence[Record]) -> None:
        """See `TrainingObserver`."""

    def epoch_ended(self, record: Record) -> None:
        """See `TrainingObserver`."""

    def training_ended(self, final: Mapping[str, float], files: Iterable[Path]) -> None:
        """Called once the weights that were kept have been measured.

        Args:
            final: figures of these weights by name.
            files: files that belong to the run's record, where they could be written.
        """

    def training_failed(self) -> None:
        """Called in the place of `training_ended` where it comes to none."""


def require_logs(names: Sequence[str]) -> None:
    """Check, before any data is read, that logs are known and their packages installed.

    Raises:
        MissingComponentError: one is not installed.
        UsageError: one is not known.
    """
    for name in names:
        if name not in EXPERIMENT_LOGS:
            raise UsageError(f"There is no log '{name}'.", suggestion(name, EXPERIMENT_LOGS))
        require_component(name, name)


def open_log(name: str, run: Path, settings: Mapping[str, Any], title: str) -> ExperimentLog:
    """Open a log for a training that is about to begin.

    Args:
        name: one of `EXPERIMENT_LOGS`.
        run: directory of the run.
        settings: the hyper-parameters.
        title: names of the recipe and the dataset.

    Raises:
        RemoteError: it can't be opened, for want of a connection or a token, say.
    """
    try:
        if name == "mlflow":
            from torchstone_train.report.mlflow_log import MlflowLog  # noqa: PLC0415 - optional

            return MlflowLog(run, settings, title)
        from torchstone_train.report.wandb_log import WandbLog  # noqa: PLC0415 - optional

        return WandbLog(run, settings, title)
    except Exception as error:
        reason = first_line(error).rstrip(".")
        raise RemoteError(f"--log {name} cannot be started: {reason}.", "Fix it, or train without --log.") from error
