import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from torch import Tensor, nn

from helpers.support import write_image_tree
from torchstone_runtime.errors import OutputError
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.observer import Record, Shielded
from torchstone_train.training.stopping import StopReason
from torchstone_train.training.task import Outcome

Fit = Callable[..., tuple[Outcome, RunDirectory]]


class Breaking(nn.Module):
    """A network whose outputs are no numbers from a given call in training mode on."""

    def __init__(self, breaks_at: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(100, 3))
        self.breaks_at = breaks_at
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += self.training
        logits: Tensor = self.layers(images)
        return logits * math.nan if self.training and self.calls >= self.breaks_at else logits


class Watcher:
    """Remembers what it was told; fails with the given error at an epoch."""

    def __init__(self, fails_at: int = 0, error: Exception | None = None) -> None:
        self.begun: list[int] = []
        self.epochs: list[int] = []
        self.fails_at = fails_at
        self.error = error or ValueError("a picture\nfailed")

    def training_begins(self, history: Sequence[Record]) -> None:
        self.begun.append(len(history))

    def epoch_ended(self, record: Record) -> None:
        self.epochs.append(record["epoch"])
        if record["epoch"] == self.fails_at:
            raise self.error


def weights_file(run: RunDirectory) -> bytes:
    """Return the weights as they lie on disk."""
    return (run.path / "best.safetensors").read_bytes()


def test_same_seed_gives_the_same_weights(fit: Fit) -> None:
    """Two trainings with one seed end with the same bytes."""
    assert weights_file(fit(out="a")[1]) == weights_file(fit(out="b")[1])


def test_other_seed_gives_other_weights(fit: Fit) -> None:
    """The seed decides: another one ends elsewhere."""
    assert weights_file(fit(out="a", seed=1)[1]) != weights_file(fit(out="b", seed=2)[1])


def test_streamed_folder_trains_to_the_same_weights_as_a_resident_one(fit: Fit, tmp_path: Path) -> None:
    """Whether images fit in memory changes nothing, bit for bit."""
    dataset = f"folder:{write_image_tree(tmp_path / 'pictures', {'a': 20, 'b': 20})}"
    resident, streamed = fit(out="a", dataset=dataset)[1], fit(out="b", dataset=dataset, budget=0)[1]
    assert weights_file(resident) == weights_file(streamed)


def test_training_learns(fit: Fit) -> None:
    """The loss falls, and the validation accuracy rises far above chance."""
    outcome, _ = fit(epochs=6)
    losses = [record["train"]["loss"] for record in outcome.history]
    assert losses[-1] < losses[0] / 1.5
    assert outcome.best is not None
    assert outcome.best["accuracy"] > 0.5


def test_early_stopping_ends_the_training_and_restores_the_best_epoch(fit: Fit) -> None:
    """It ends `patience` epochs after the best one, whose figures are the outcome's."""
    outcome, _ = fit(epochs=60, patience=2)
    accuracies = [record["validation"]["accuracy"] for record in outcome.history]
    assert outcome.stop_reason is StopReason.EARLY_STOPPING
    assert len(outcome.history) == outcome.best_epoch + 2
    assert outcome.best is not None
    assert outcome.best["accuracy"] == max(accuracies) == accuracies[outcome.best_epoch - 1]


def test_best_weights_are_kept_while_later_epochs_are_worse(fit: Fit) -> None:
    """Stopping a training at its best epoch gives the very file that the longer training keeps."""
    longer, run = fit(out="long", epochs=60, patience=2)
    _, short = fit(out="short", epochs=longer.best_epoch, patience=2)
    assert len(longer.history) > longer.best_epoch
    assert weights_file(run) == weights_file(short)


def test_non_finite_loss_names_epoch_and_step_and_keeps_the_best_epoch(fit: Fit) -> None:
    """115 images in batches of 64 are two steps an epoch: the fourth is step 2 of epoch 2."""
    outcome, run = fit(epochs=5, network=Breaking(breaks_at=4))
    assert outcome.stop_reason is StopReason.NON_FINITE_LOSS
    assert "epoch 2, step 2" in outcome.detail
    assert outcome.best_epoch == 1
    assert run.read_info()["stop_reason"] == "non_finite_loss"
    assert all(bool(tensor.isfinite().all()) for tensor in run.read_weights().values())


def test_weights_spoilt_by_the_last_step_are_not_kept(fit: Fit) -> None:
    """A finite loss in every step, but weights that overflow after the last one: the epoch doesn't count."""
    outcome, run = fit(epochs=3, batch_size=200, lr=1e30)
    assert outcome.stop_reason is StopReason.NON_FINITE_LOSS
    assert "validation loss" in outcome.detail
    assert not run.has_weights


def test_epoch_that_is_the_best_is_marked_in_the_history(fit: Fit) -> None:
    """Each record says whether it was the best so far; the last so marked is the best epoch."""
    outcome, _ = fit(epochs=6)
    assert [record["epoch"] for record in outcome.history if record["best"]][-1] == outcome.best_epoch


def test_observer_is_told_of_each_epoch_once(fit: Fit) -> None:
    """It hears of the start with no epochs, and then of each as it ends."""
    watcher = Watcher()
    fit(epochs=3, observers=[watcher])
    assert (watcher.begun, watcher.epochs) == ([0], [1, 2, 3])


def test_failing_picture_never_loses_the_run(fit: Fit) -> None:
    """A shielded observer that fails is left out from then on, with one line; the training goes on."""
    watcher, said = Watcher(fails_at=2), list[str]()
    outcome, _ = fit(epochs=4, observers=[Shielded(watcher, "tensorboard/", said.append)])
    assert outcome.stop_reason is StopReason.MAX_EPOCHS
    assert watcher.epochs == [1, 2]
    assert said == ["left out tensorboard/: ValueError: a picture failed"]


def test_full_disk_in_a_picture_is_an_error(fit: Fit) -> None:
    """A place that can't be written is reported, not passed over."""
    watcher = Watcher(fails_at=1, error=OutputError("Cannot write it.", "Make room."))
    with pytest.raises(OutputError):
        fit(observers=[Shielded(watcher, "tensorboard/", print)])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_each_optimizer_lowers_the_loss(fit: Fit, optimizer: str) -> None:
    """Every optimiser that can be chosen trains."""
    outcome, _ = fit(optimizer=optimizer, epochs=6, patience=0, batch_size=16)
    assert outcome.history[-1]["train"]["loss"] < outcome.history[0]["train"]["loss"]
