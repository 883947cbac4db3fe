"""The training loop: fits a recipe, keeps the best epoch, and leaves a run that can be exported or resumed.

All randomness of an epoch comes from the seed and the epoch's number, so an epoch that is repeated after a kill is
repeated exactly.
"""

import math
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import torch
from torch import nn

from torchstone_train.batches import Batches
from torchstone_train.classifier import ImageClassifier
from torchstone_train.finite import FiniteCheck, NonFiniteLossError
from torchstone_train.interrupt import GracefulInterrupt
from torchstone_train.measure import Measured, Tally, measure
from torchstone_train.observer import Record, TrainingObserver
from torchstone_train.progress import Progress
from torchstone_train.recipe import Recipe
from torchstone_train.run_dir import RunDirectory, Weights
from torchstone_train.stopping import EarlyStopping, StopReason

_GPU_CHECK_EVERY: Final = 64
"""Steps between two looks at the losses on a GPU: each look waits for it."""


class _InterruptedError(Exception):
    """Ctrl-C came in the middle of an epoch."""


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """What is to be fitted, on what, and where.

    Attributes:
        recipe: the resolved recipe.
        seed: decides initial weights, shuffling and dropout.
        class_names: in the order of the labels.
        model: on `device`, with its initial weights.
        train, validation: the batches, on `device`.
    """

    recipe: Recipe
    seed: int
    class_names: tuple[str, ...]
    model: ImageClassifier
    train: Batches
    validation: Batches
    device: torch.device


@dataclass(slots=True)
class Outcome:
    """How a training ended.

    Attributes:
        stop_reason: why.
        best_epoch: whose weights are in `best.safetensors`; 0 where no epoch was completed.
        best: its validation figures, or those of the weights kept.
        history: a record an epoch.
        detail: for a person, where there is something to add.
    """

    stop_reason: StopReason
    best_epoch: int
    best: Mapping[str, Any] | None
    history: list[Record]
    detail: str = ""


class TrainingLoop:
    """Fits a task and writes its run directory.

    Args:
        task: what to fit.
        run: where to write.
        info: the fields of `run.json` that are known beforehand.
        progress: where to report.
        observers: are told of each epoch once its files are written.
    """

    def __init__(
        self,
        task: TrainingTask,
        run: RunDirectory,
        info: Mapping[str, Any],
        progress: Progress,
        observers: Sequence[TrainingObserver] = (),
    ) -> None:
        self._task = task
        self._run = run
        self._info = info
        self._progress = progress
        self._observers = observers
        self._optimizer = make_optimizer(task.recipe, task.model)
        self._stopping = EarlyStopping(task.recipe.patience, task.recipe.min_delta)
        self._history: list[Record] = []
        self._best_weights: Weights | None = None

    def resume(self) -> int:
        """Load the last checkpoint, if there is one, and return how many epochs are done."""
        state = self._run.read_checkpoint()
        if state is None:
            return 0
        self._task.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._stopping.best = float(state["stopping"]["best"])
        self._stopping.best_epoch = int(state["stopping"]["best_epoch"])
        self._stopping.since_best = int(state["stopping"]["since_best"])
        self._best_weights = state["best_weights"]
        done = int(state["epoch"])
        # A kill between two writes may have left a line of an epoch that is now done again.
        self._history = [record for record in self._run.read_history() if record["epoch"] <= done]
        return done

    def fit(self) -> Outcome:
        """Train until the epochs are done, patience runs out, Ctrl-C, or the loss is no number; restore the best."""
        with GracefulInterrupt() as interrupt:
            epoch = self.resume()
            for observer in self._observers:
                observer.training_begins(self._history)
            try:
                while epoch < self._task.recipe.epochs and not self._stopping.exhausted:
                    epoch += 1
                    self._run_epoch(epoch, interrupt)
                    if interrupt.requested:  # while the epoch was validated and saved
                        raise _InterruptedError
                reason = StopReason.EARLY_STOPPING if self._stopping.exhausted else StopReason.MAX_EPOCHS
                return self._finish(reason)
            except _InterruptedError:
                return self._finish(StopReason.INTERRUPTED, f"in epoch {epoch}")
            except NonFiniteLossError as error:
                return self._finish(StopReason.NON_FINITE_LOSS, str(error))

    def _run_epoch(self, epoch: int, interrupt: GracefulInterrupt) -> None:
        task, started = self._task, time.perf_counter()
        self._progress.start_epoch(epoch, len(task.train))
        trained = self._train(epoch, interrupt)
        seconds = time.perf_counter() - started
        validated = measure(task.model, task.validation, task.class_names, task.device)
        if not math.isfinite(validated.loss):  # the last step spoilt the weights
            raise NonFiniteLossError(epoch, None, validated.loss)
        best = self._stopping.update(epoch, validated.metrics.accuracy)
        record = {
            "epoch": epoch,
            "train": trained.to_json(),
            "validation": validated.to_json(),
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "images_per_second": len(task.train) / seconds,
            "seconds": time.perf_counter() - started,
            "ended": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "best": best,
        }
        self._history.append(record)
        self._save(epoch, is_best=best)
        self._progress.end_epoch(record)
        for observer in self._observers:
            observer.epoch_ended(record)

    def _train(self, epoch: int, interrupt: GracefulInterrupt) -> Measured:
        task, recipe = self._task, self._task.recipe
        generator = seed_epoch(task.seed, epoch)
        order = torch.randperm(len(task.train), generator=generator)
        tally = Tally(task.class_names, task.device)
        check = FiniteCheck(epoch, 1 if task.device.type == "cpu" else _GPU_CHECK_EVERY)
        task.model.train()
        for images, labels in task.train.walk(order, recipe.batch_size):
            if interrupt.requested:
                raise _InterruptedError
            logits = task.model(images)
            loss = nn.functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self._optimizer.step()
            check.add(loss.detach())
            tally.add(logits, labels, loss)
            self._progress.step(len(labels), loss.item() if self._progress.wants_loss else None)
        check.look()
        return tally.result()

    def _save(self, epoch: int, *, is_best: bool) -> None:
        if is_best or self._best_weights is None:
            self._best_weights = copy_weights(self._task.model.network)
            self._run.write_weights(self._best_weights)
        self._run.write_history(self._history)
        self._run.write_info(self._describe(StopReason.RUNNING, ""))
        self._run.write_checkpoint(
            {
                "epoch": epoch,
                "model": self._task.model.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "stopping": asdict(self._stopping),
                "best_weights": self._best_weights,
            }
        )

    def _finish(self, reason: StopReason, detail: str = "") -> Outcome:
        best = next((r["validation"] for r in self._history if r["epoch"] == self._stopping.best_epoch), None)
        if best is None and reason is StopReason.INTERRUPTED:
            best = self._keep_unfinished()
        if self._best_weights is not None:
            self._task.model.network.load_state_dict(self._best_weights)
        self._run.write_info(self._describe(reason, detail, best))
        return Outcome(reason, self._stopping.best_epoch, best, self._history, detail)

    def _keep_unfinished(self) -> dict[str, Any]:
        task = self._task
        self._best_weights = copy_weights(task.model.network)
        self._run.write_weights(self._best_weights)
        return measure(task.model, task.validation, task.class_names, task.device).to_json()

    def _describe(self, reason: StopReason, detail: str, best: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {
            **self._info,
            "stop_reason": str(reason),
            "stop_detail": detail,
            "epochs_run": len(self._history),
            "best_epoch": self._stopping.best_epoch,
            "seconds": sum(record["seconds"] for record in self._history),
            "metrics": {"validation": best},
        }


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over all parameters of a model."""
    parameters = list(model.parameters())
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)


def seed_epoch(seed: int, epoch: int) -> torch.Generator:
    """Seed PyTorch's global generators (dropout) for an epoch and return one for shuffling."""
    mixed = seed * 1_000_003 + epoch
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed + 500_000)


def copy_weights(network: nn.Module) -> Weights:
    """Return a copy of a network's state on the CPU."""
    return {name: deepcopy(tensor.detach().cpu()) for name, tensor in network.state_dict().items()}
