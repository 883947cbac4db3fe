"""A probe from its backbone to a run: features, regression, last layer, and the files of one epoch."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from torchstone_runtime.components import require_component
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.probe.head import FittedHead, fit_head
from torchstone_train.recipes.catalog import PROBE
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.epochs import copy_weights
from torchstone_train.training.observer import Record, TrainingObserver
from torchstone_train.training.progress import Progress
from torchstone_train.training.stopping import StopReason
from torchstone_train.training.task import Outcome, TrainingTask
from torchstone_train.training.validate import EpochMetrics, NetworkAnswers, RunningMetrics, answer_all

_SENSIBLE: Final = frozenset(
    ("name", "summary", "architecture", "head", "class_weights", "val_fraction", "mean", "std", "batch_size")
)


def require_probe(recipe: Recipe, *, teachers: Sequence[Path], processes: int) -> None:
    """Refuse what makes no sense for a probe.

    Raises:
        UsageError: fields of the recipe that train a network, a teacher, or several processes.
        MissingComponentError: scikit-learn is not installed.
    """
    require_component("train", "sklearn")
    own, usual = recipe.to_json(), PROBE.to_json()
    odd = [f"--set {name}" for name in own if name not in _SENSIBLE and own[name] != usual[name]]
    odd += ["--teacher"] if teachers else []
    if odd:
        raise UsageError(
            f"A probe fits its last layer alone, in one go; it has no use for {', '.join(odd)}.",
            "Leave it out, or take the recipe finetune.",
        )
    if processes > 1:
        raise UsageError("A probe is fitted in one process.", "Start it without torchrun.")


class ProbeFit:
    """Fits the last layer of a backbone and writes its run, as `TrainingLoop` does for a training.

    Args:
        task: task with a backbone, whose recipe names its last layer.
        run: run directory to write.
        info: fields of `run.json` that are known beforehand.
        progress: display that is told of the progress.
        observers: are told of the one epoch.
        spec: input of the network.
    """

    def __init__(
        self,
        task: TrainingTask,
        run: RunDirectory,
        info: Mapping[str, Any],
        progress: Progress,
        observers: Sequence[TrainingObserver],
        spec: InputSpec,
    ) -> None:
        self._task = task
        self._run = run
        self._info = info
        self._progress = progress
        self._observers = observers
        self._spec = spec

    def fit(self) -> Outcome:
        """Fit the last layer; a run that has it already is left as it is.

        Raises:
            UsageError, DataError: the backbone has no features that one linear layer makes its answer of.
            OutputError: the run can't be written.
        """
        history = self._run.read_history()
        if self._run.read_checkpoint() is not None and history:
            self._task.model.network.load_state_dict(self._run.read_weights())
            return self._outcome(history, None)
        for observer in self._observers:
            observer.training_begins([])
        record, found, answers = self._fit()
        self._write(record, found)
        self._progress.end_epoch(record)
        for observer in self._observers:
            observer.epoch_ended(record)
        return self._outcome([record], answers)

    def _outcome(self, history: list[Record], answers: NetworkAnswers | None) -> Outcome:
        return Outcome(StopReason.MAX_EPOCHS, 1, history[-1]["validation"], history, answers=answers)

    def _fit(self) -> tuple[Record, dict[str, Any], NetworkAnswers]:
        task, started = self._task, time.perf_counter()
        fitted = fit_head(task, task.train, self._spec, self._run.path, self._progress)
        count, seconds = len(fitted.features), time.perf_counter() - started
        answers = answer_all(task.model, task.validation, task.class_names, task.device, task.featured)
        record = {
            "epoch": 1,
            "train": self._figures(fitted).to_json(),
            "validation": answers.figures.to_json(),
            "learning_rate": 0.0,
            "images_per_second": count / max(seconds, 1e-9),
            "seconds": time.perf_counter() - started,
            "ended": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "best": True,
        }
        found = {
            "features": fitted.features.shape[1],
            "strength": fitted.strength,
            "log_loss": {f"{value:g}": loss for value, loss in fitted.log_loss.items()},
            "balanced": fitted.balanced,
            "converged": fitted.converged,
        }
        return record, found, answers

    def _figures(self, fitted: FittedHead) -> EpochMetrics:
        task = self._task
        metrics = RunningMetrics(task.class_names, torch.device("cpu"))
        metrics.add(fitted.logits, task.labels, nn.functional.cross_entropy(fitted.logits, task.labels))
        return metrics.result()

    def _write(self, record: Record, found: Mapping[str, Any]) -> None:
        self._run.write_history([record])
        self._run.write_weights(copy_weights(self._task.model.network))
        self._run.write_checkpoint({"epoch": 1})
        self._run.write_info(
            {
                **self._info,
                "probe": dict(found),
                "stop_reason": str(StopReason.MAX_EPOCHS),
                "stop_detail": "",
                "epochs_run": 1,
                "best_epoch": 1,
                "seconds": record["seconds"],
                "metrics": {"validation": record["validation"]},
            }
        )
