"""A probe from its backbone to a run: features, regression, last layer, and the files of one epoch."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from torchstone_runtime.arrays import Float32Array
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.backbones.head import head_of
from torchstone_train.probe.feature_cache import FOLDER, FeatureCache, cache_key
from torchstone_train.probe.features import features_of
from torchstone_train.recipes.catalog import PROBE
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.class_balance import are_balanced
from torchstone_train.training.loop import copy_weights
from torchstone_train.training.observer import Record, TrainingObserver
from torchstone_train.training.progress import Progress
from torchstone_train.training.stopping import StopReason
from torchstone_train.training.task import Outcome, TrainingTask
from torchstone_train.training.validate import EpochMetrics, RunningMetrics, validate

_SENSIBLE: Final = frozenset(
    ("name", "summary", "architecture", "head", "class_weights", "val_fraction", "mean", "std", "batch_size")
)
_TOLERANCE: Final = 1e-3
"""Accepted difference between the network's logits and the regression's, of their largest value."""
_CHECKED: Final = 8


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
            return self._outcome(history)
        for observer in self._observers:
            observer.training_begins([])
        record, found = self._fit()
        self._write(record, found)
        self._progress.end_epoch(record)
        for observer in self._observers:
            observer.epoch_ended(record)
        return self._outcome([record])

    def _outcome(self, history: list[Record]) -> Outcome:
        return Outcome(StopReason.MAX_EPOCHS, 1, history[-1]["validation"], history)

    def _fit(self) -> tuple[Record, dict[str, Any]]:
        from torchstone_train.probe.regression import fit_last_layer  # noqa: PLC0415 - scikit-learn takes a second

        task, started = self._task, time.perf_counter()
        features = self._features()
        computed = time.perf_counter() - started
        _, head = head_of(task.model.network, task.recipe.head)
        balanced = are_balanced(task.recipe.class_weights, task.labels)
        layer = fit_last_layer(
            features,
            task.labels.numpy(),
            len(task.class_names),
            balanced=balanced,
            intercept=head.bias is not None,
            seed=task.seed,
            say=self._progress.say,
        )
        if not layer.converged:
            self._progress.say("Warning: the regression had not converged after 1,000 iterations.")
        _lay(head, layer.weight, layer.bias)
        trained = self._figures(features, layer.weight, layer.bias)
        validated = validate(task.model, task.validation, task.class_names, task.device)
        record = {
            "epoch": 1,
            "train": trained.to_json(),
            "validation": validated.to_json(),
            "learning_rate": 0.0,
            "images_per_second": len(features) / max(computed, 1e-9),
            "seconds": time.perf_counter() - started,
            "ended": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "best": True,
        }
        return record, {
            "features": features.shape[1],
            "strength": layer.strength,
            "log_loss": {f"{value:g}": loss for value, loss in layer.losses.items()},
            "balanced": balanced,
            "converged": layer.converged,
        }

    def _features(self) -> Float32Array:
        task, head = self._task, self._task.recipe.head
        network = task.model.eval().network
        key = cache_key(network, task.recipe.architecture, head, self._spec, task.device)
        cache = FeatureCache.open(self._run.path.absolute().parent / FOLDER, key)
        before = len(cache.digests)
        features = features_of(task.train, task.model, head, cache, self._progress)
        new = len(cache.digests) - before
        self._progress.say(
            f"features {len(features):,} images with {features.shape[1]:,} features each, {new:,} computed now"
        )
        return features

    def _figures(self, features: Float32Array, weight: Float32Array, bias: Float32Array) -> EpochMetrics:
        task = self._task
        logits = torch.from_numpy(features) @ torch.from_numpy(weight).T + torch.from_numpy(bias)
        self._require_last(logits[:_CHECKED])
        cpu = torch.device("cpu")
        metrics = RunningMetrics(task.class_names, cpu)
        metrics.add(logits, task.labels, nn.functional.cross_entropy(logits, task.labels))
        return metrics.result()

    @torch.inference_mode()
    def _require_last(self, expected: Tensor) -> None:
        images, _ = next(iter(self._task.train.walk(torch.arange(len(expected)), len(expected))))
        given = self._task.model(images).float().cpu()
        if given.shape != expected.shape or float((given - expected).abs().max()) > _TOLERANCE * max(
            1.0, float(expected.abs().max())
        ):
            raise DataError(
                f"The backbone does not give out what its last layer, '{self._task.recipe.head}', does: a probe can't "
                "be folded into it.",
                "Take another backbone, or the recipe finetune.",
            )

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


@torch.no_grad()
def _lay(head: nn.Module, weight: Float32Array, bias: Float32Array) -> None:
    target: Tensor = head.weight  # type: ignore[assignment]  # of a linear layer or a convolution
    target.copy_(torch.from_numpy(weight).reshape(target.shape))
    if isinstance(head.bias, Tensor):
        head.bias.copy_(torch.from_numpy(bias))
