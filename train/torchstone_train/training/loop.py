"""The training loop: fits a recipe, keeps the best epoch, and leaves a run that can be exported or resumed.

All randomness of an epoch comes from the seed and the epoch's number, so an epoch that is repeated after a kill is
repeated exactly.
"""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import torch

from torchstone_runtime.errors import DataError, UsageError, first_line
from torchstone_train.compute.shortage import is_shortage
from torchstone_train.data.augment import Augmentation
from torchstone_train.data.batch_plan import update_windows
from torchstone_train.run.run_dir import RunDirectory, Weights
from torchstone_train.training.compiled_steps import StepCompiler
from torchstone_train.training.ema import EMA
from torchstone_train.training.epochs import class_weights, copy_weights, epoch_order, plan_epoch, seed_epoch
from torchstone_train.training.finite import FiniteCheck, NonFiniteLossError
from torchstone_train.training.interrupt import GracefulInterrupt
from torchstone_train.training.memory_shortage import batch_error, largest_fitting, shortage_in
from torchstone_train.training.mixing import Mixing
from torchstone_train.training.observer import Record, TrainingObserver
from torchstone_train.training.optimization import Optimization
from torchstone_train.training.progress import Progress
from torchstone_train.training.stopping import EarlyStopping, StopReason
from torchstone_train.training.task import Outcome, TrainingTask
from torchstone_train.training.trained_part import TrainedPart
from torchstone_train.training.validate import EpochMetrics, NetworkAnswers, RunningMetrics, answer_all, validate

_GPU_CHECK_EVERY: Final = 64
"""Steps between two looks at the losses on a GPU: each look waits for it."""


class _InterruptedError(Exception):
    """Ctrl-C came in the middle of an epoch."""


class TrainingLoop:
    """Fits a task and writes its run directory.

    Args:
        task: task to fit.
        run: run directory that the first process writes to.
        info: the fields of `run.json` that are known beforehand.
        progress: display that is told of the progress.
        observers: are told of each epoch once its files are written.
        begun: whether the model decides already, as with a fitted last layer: its weights are kept if every epoch
            is worse.

    Raises:
        UsageError, DataError: the images cannot be cut into batches that the model can be trained on (`plan_batches`).
    """

    def __init__(
        self,
        task: TrainingTask,
        run: RunDirectory,
        info: Mapping[str, Any],
        progress: Progress,
        observers: Sequence[TrainingObserver] = (),
        *,
        begun: bool = False,
    ) -> None:
        self._task = task
        self._begun = begun
        self._run = run
        self._info = info
        self._progress = progress
        self._observers = observers
        batch = task.recipe.batch_size // task.world.size
        self._trained = TrainedPart(task.recipe, task.model.network, batch, pretrained=task.pretrained)
        self._batch_sizes = plan_epoch(task, self._trained)
        self._windows = update_windows(self._batch_sizes, task.recipe.accumulate)
        self._compiler = StepCompiler.of(task, self._batch_sizes[0])
        self._stepped = task.model if self._compiler is None else self._compiler.steps
        steps = len(self._batch_sizes) * task.recipe.epochs
        self._optimization = Optimization(
            task.recipe, task.world.wrap(self._stepped), task.precision, steps, class_weights(task)
        )
        self._ema = EMA(task.model.network, task.recipe.ema) if task.recipe.ema else None
        self._mixing = Mixing.of(task.recipe, len(task.class_names))
        self._augmentation = Augmentation(task.recipe.augment, task.recipe.flips, len(task.train), task.seed)
        self._stopping = EarlyStopping(task.recipe.patience, task.recipe.min_delta)
        self._history: list[Record] = []
        self._beginning: dict[str, Any] | None = None
        """Validation figures before the first epoch, of a model that decides already."""
        self._best_weights: Weights | None = None
        self._answers: NetworkAnswers | None = None
        """Of the epoch that was validated last."""
        self._best_answers: NetworkAnswers | None = None

    def resume(self) -> int:
        """Load the last checkpoint, if there is one, and return how many epochs are done.

        Raises:
            DataError: it is damaged, or another version wrote it.
            OutputError: the best weights had to be written again, and can't be.
        """
        state = self._run.read_checkpoint()
        if state is None:
            return 0
        if "optimization" not in state:
            raise DataError("The run was begun by another version of Torchstone.", "Train again with --overwrite.")
        try:
            return self._restore(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:  # RuntimeError: weights of another shape
            raise DataError(
                f"The checkpoint of {self._run.path} does not fit this training: {' '.join(str(error).split())}.",
                "Train again with --overwrite.",
            ) from error

    def _restore(self, state: Mapping[str, Any]) -> int:
        self._task.model.load_state_dict(state["model"])
        self._optimization.load_state_dict(state["optimization"])
        if self._ema is not None:
            self._ema.load_state_dict(state["average"])
        self._stopping.best = float(state["stopping"]["best"])
        self._stopping.best_epoch = int(state["stopping"]["best_epoch"])
        self._stopping.since_best = int(state["stopping"]["since_best"])
        self._stopping.floor = float(state["stopping"].get("floor", self._stopping.floor))
        self._beginning = state.get("beginning")
        self._best_weights = state["best_weights"]
        done = int(state["epoch"])
        # A kill between two writes may have left a line, and the weights, of an epoch that is now done again, or never.
        self._history = [record for record in self._run.read_history() if record["epoch"] <= done]
        if self._task.world.is_first and not self._run.holds_weights(state["best_weights"]):
            self._run.write_weights(state["best_weights"])
        return done

    def compile(self) -> None:
        """Compile the steps of a first epoch ahead of `fit`, where the recipe says so: what fails, fails here.

        Raises:
            UsageError: the network cannot be compiled, or the device's memory does not hold a batch.
        """
        said = shortage_in(lambda: self._begin_epoch(1))
        if said is not None:
            raise self._shortage(said)

    def fit(self) -> Outcome:
        """Train until the epochs are done, patience runs out, Ctrl-C, or the loss is not a number; restore the best.

        Raises:
            UsageError: the device's memory does not hold a batch; the message names the largest that it does. Or the
                network cannot be compiled.
        """
        with GracefulInterrupt() as interrupt:
            epoch = self.resume()
            for observer in self._observers:
                observer.training_begins(self._history)
            try:
                if self._begun and not epoch:
                    self._weigh_beginning()
                while epoch < self._task.recipe.epochs and not self._stopping.exhausted and not self._target_reached:
                    epoch += 1
                    self._run_epoch(epoch, interrupt)
                    if self._interrupted(interrupt):  # while the epoch was validated and saved
                        raise _InterruptedError
                return self._finish(self._reason_to_stop())
            except _InterruptedError:
                return self._finish(StopReason.INTERRUPTED, f"in epoch {epoch}")
            except NonFiniteLossError as error:
                return self._finish(StopReason.NON_FINITE_LOSS, str(error))
            except RuntimeError as error:
                if not is_shortage(error):
                    raise
                said = first_line(error)
        # Only here, where the error is gone: it held on to all that filled the memory.
        raise self._shortage(said)

    def _shortage(self, said: str) -> UsageError:
        task = self._task
        batch, fitting = task.recipe.batch_size, None
        if task.world.size == 1:  # others would wait for the gradients of a trial that this process makes alone
            fitting = largest_fitting(self._try_batch, min(batch, max(self._batch_sizes)))
        return batch_error(said, task.device, batch, fitting)

    def _try_batch(self, size: int) -> None:
        images, labels = next(iter(self._task.train.walk(torch.arange(size), size)))
        self._optimization.trial(images, labels)

    @property
    def _target_reached(self) -> bool:
        target = self._task.recipe.target_accuracy
        return target > 0 and any(record["validation"]["accuracy"] >= target for record in self._history)

    def _reason_to_stop(self) -> StopReason:
        if self._target_reached:
            return StopReason.TARGET_REACHED
        return StopReason.EARLY_STOPPING if self._stopping.exhausted else StopReason.MAX_EPOCHS

    def _weigh_beginning(self) -> None:
        validated = self._validate()
        self._stopping.floor = self._monitored(validated)
        self._beginning = validated.to_json()
        self._remember_weights()
        self._progress.say(f"head     fitted; as it is, validation accuracy {validated.metrics.accuracy:.4f}")

    def _begin_epoch(self, epoch: int) -> None:
        world = self._task.world
        changed = self._trained.begin_epoch(epoch)
        if changed and world.size > 1:
            self._optimization.wrap(world.wrap(self._stepped))  # it waits for the gradients of what is trained
        if self._compiler is not None and self._compiler.compile(self._optimization, anew=changed):
            self._progress.say(f"compiled in {self._compiler.seconds:.1f} s, not counted in images/s")

    def _run_epoch(self, epoch: int, interrupt: GracefulInterrupt) -> None:
        self._begin_epoch(epoch)
        task, started = self._task, time.perf_counter()
        self._progress.start_epoch(epoch, len(task.train))
        trained = self._train(epoch, interrupt)
        seconds = time.perf_counter() - started
        validated = self._validate()
        for measured in (trained, validated):
            if not math.isfinite(measured.loss):  # in another process, or the last step spoilt the weights
                raise NonFiniteLossError(epoch, None, measured.loss)
        best = self._stopping.update(epoch, self._monitored(validated))
        record = {
            "epoch": epoch,
            "train": trained.to_json(),
            "validation": validated.to_json(),
            "learning_rate": self._optimization.learning_rate,
            "images_per_second": len(task.train) / seconds,
            "seconds": time.perf_counter() - started,
            "ended": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "best": best,
        }
        if self._compiler is not None:
            record["compile_seconds"] = self._compiler.taken()
        self._history.append(record)
        self._save(epoch, is_best=best)
        self._progress.end_epoch(record)
        for observer in self._observers:
            observer.epoch_ended(record)

    def _train(self, epoch: int, interrupt: GracefulInterrupt) -> EpochMetrics:
        task, world = self._task, self._task.world
        generator = seed_epoch(task.seed, epoch, world.rank)
        order = world.share(epoch_order(task, generator), even=True)
        running = RunningMetrics(task.class_names, task.device, world)
        check = FiniteCheck(epoch, 1 if task.device.type == "cpu" else _GPU_CHECK_EVERY)
        sizes = self._batch_sizes
        walk = zip(torch.split(order, sizes), task.train.walk(order, sizes, epoch), strict=True)
        for step, (indices, (images, labels)) in enumerate(walk):
            if self._interrupted(interrupt, step):
                raise _InterruptedError
            changed = self._augmentation(images, indices, epoch, generator)
            changed, mixed = self._mixing(changed, labels, generator)
            teacher_logits = None if task.teacher is None else task.teacher(changed)
            window = self._windows[step]
            logits, loss = self._optimization.step(
                changed, labels if mixed is None else mixed, teacher_logits, share=window.share, updates=window.ends
            )
            if mixed is not None:
                labels = mixed.argmax(dim=1)  # what is most of the image  # noqa: PLW2901
            if self._ema is not None and window.ends:
                self._ema.update()
            if world.size == 1:  # a process that stopped alone would leave the others waiting
                check.add(loss)
            running.add(logits, labels, loss)
            self._progress.step(len(labels) * world.size, loss.item() if self._progress.wants_loss else None)
        check.look()
        return running.result()

    def _validate(self) -> EpochMetrics:
        task = self._task
        with self._averaged():
            if task.world.size > 1:
                task.world.spread_buffers(task.model)  # the weights that are kept are the first process's
                return validate(task.model, task.validation, task.class_names, task.device, task.world)
            given = (task.model, task.validation, task.class_names, task.device)
            self._answers = answer_all(*given, task.featured)
        return self._answers.figures

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self._ema is None else self._ema.in_place()

    def _monitored(self, validated: EpochMetrics) -> float:
        name = self._task.recipe.monitor
        value = float(validated.to_json()[name])
        return -value if name == "loss" else value

    def _interrupted(self, interrupt: GracefulInterrupt, step: int = 0) -> bool:
        return self._task.world.anyone(interrupt.requested, step, self._task.device)

    def _save(self, epoch: int, *, is_best: bool) -> None:
        if is_best or self._best_weights is None:
            self._remember_weights()
        if not self._task.world.is_first:
            return
        if self._best_weights is not None and (is_best or not self._run.has_checkpoint):
            self._run.write_weights(self._best_weights)
        self._run.write_history(self._history)
        self._run.write_info(self._describe(StopReason.RUNNING, ""))
        self._run.write_checkpoint(
            {
                "epoch": epoch,
                "model": self._task.model.state_dict(),
                "optimization": self._optimization.state_dict(),
                "stopping": asdict(self._stopping),
                "best_weights": self._best_weights,
                "beginning": self._beginning,
                **({} if self._ema is None else {"average": self._ema.state_dict()}),
            }
        )

    def _remember_weights(self) -> None:
        with self._averaged():
            self._best_weights = copy_weights(self._task.model.network)
        self._best_answers = self._answers

    def _finish(self, reason: StopReason, detail: str = "") -> Outcome:
        best = next((r["validation"] for r in self._history if r["epoch"] == self._stopping.best_epoch), None)
        is_beginning = best is None and self._beginning is not None
        if is_beginning:
            best = self._beginning
        elif best is None and reason is StopReason.INTERRUPTED:
            best = self._validate().to_json()
            self._remember_weights()
        if self._best_weights is not None:
            self._task.model.network.load_state_dict(self._best_weights)
        if self._task.world.is_first:
            if self._best_weights is not None and not self._run.has_checkpoint:
                self._run.write_weights(self._best_weights)
            self._run.write_info(self._describe(reason, detail, best))
        answers = self._best_answers
        return Outcome(reason, self._stopping.best_epoch, best, self._history, detail, answers, is_beginning)

    def _describe(self, reason: StopReason, detail: str, best: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {
            **self._info,
            "stop_reason": str(reason),
            "stop_detail": detail,
            "epochs_run": len(self._history),
            "best_epoch": self._stopping.best_epoch,
            "seconds": sum(record["seconds"] for record in self._history),
            **({} if self._compiler is None else {"compile_seconds": self._compile_seconds()}),
            **({} if self._beginning is None else {"beginning": self._beginning}),
            "metrics": {"validation": best},
        }

    def _compile_seconds(self) -> float:
        return float(sum(record.get("compile_seconds", 0.0) for record in self._history))
