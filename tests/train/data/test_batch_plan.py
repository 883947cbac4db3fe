"""No training stops at a batch of one image that batch norm can't take."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.errors import DataError, UsageError
from torchstone_train.data.batch_plan import plan_batches, trains_on_one_image
from torchstone_train.recipes.catalog import RECIPES
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.schedule import schedule_factor
from torchstone_train.training.task import Outcome

Fit = Callable[..., tuple[Outcome, RunDirectory]]

IMAGE = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)


class Floats(nn.Module):
    """Pixels as a network takes them."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float()


def narrow() -> nn.Module:
    """Return a network whose batch norm sees maps of 1 x 1."""
    return nn.Sequential(Floats(), nn.Conv2d(1, 2, 4), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))


def wide() -> nn.Module:
    """Return a network whose batch norm sees maps of 2 x 2."""
    return nn.Sequential(Floats(), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))


class Sizes(nn.Module):
    """A network of maps of 1 x 1 with batch norm that notes how many images it was trained on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 10), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            self.seen.append(len(images))
        logits: Tensor = self.layers(images)
        return logits


def write_npz(file: Path, samples: int, side: int) -> str:
    """Write random images of two classes; return the dataset's name."""
    images = np.random.default_rng(0).integers(0, 256, (samples, side, side), dtype=np.uint8)
    np.savez(file, images=images, labels=np.arange(samples) % 2)
    return f"npz:{file}"


@given(count=st.integers(1, 500), size=st.integers(1, 80))
def test_batches_are_as_ever_where_one_image_can_be_trained_on(count: int, size: int) -> None:
    """Batch norm over larger maps, and networks without it, see the batches that they always saw."""
    as_ever = [len(batch) for batch in torch.split(torch.arange(count), size)]
    assert plan_batches(count, size, wide(), IMAGE) == as_ever


@given(count=st.integers(2, 500), size=st.integers(2, 80))
def test_a_last_image_that_would_be_alone_joins_the_batch_before(count: int, size: int) -> None:
    """Only such an epoch is cut otherwise; every image is still there once."""
    as_ever = [len(batch) for batch in torch.split(torch.arange(count), size)]
    expected = as_ever if as_ever[-1] > 1 else [*as_ever[:-2], size + 1]
    assert plan_batches(count, size, narrow(), IMAGE) == expected
    assert sum(expected) == count


def test_looking_at_a_model_leaves_it_as_it_is() -> None:
    """Statistics, count of batches and mode are those from before."""
    model = wide().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert trains_on_one_image(model, IMAGE)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not model.training


def test_batches_of_one_are_refused_where_batch_norm_cannot_take_them() -> None:
    """The message says what to choose, for all processes together."""
    with pytest.raises(UsageError, match="one image at a time") as caught:
        plan_batches(5, 1, narrow(), IMAGE, processes=3)
    assert "--batch-size of 6 or more" in str(caught.value)


@pytest.mark.parametrize(("processes", "fragment"), [(1, "only 1 image"), (4, "each of 4 processes")])
def test_a_single_image_is_refused_where_batch_norm_cannot_take_it(processes: int, fragment: str) -> None:
    """There is nothing that it could join."""
    with pytest.raises(DataError, match=fragment):
        plan_batches(1, 64, narrow(), IMAGE, processes)


def test_training_sees_every_image_of_an_epoch(fit: Fit, tmp_path: Path) -> None:
    """52 images in batches of 17: the last one is trained on with the 17 before it."""
    network, dataset = Sizes(), write_npz(tmp_path / "small.npz", 81, 10)
    outcome, _ = fit(network=network, dataset=dataset, batch_size=17)
    assert network.seen == [17, 17, 18] * len(outcome.history)


@pytest.mark.parametrize(
    "architecture", sorted({recipe.architecture for recipe in RECIPES.values() if recipe.architecture})
)
@pytest.mark.parametrize("budget", [None, 0])
def test_every_network_trains_with_a_last_batch_of_one(
    fit: Fit, tmp_path: Path, architecture: str, budget: int | None
) -> None:
    """Images as small as the network takes, in memory or streamed; 52 of them in batches of 17."""
    small = architecture.startswith(("stone", "sprint")) and architecture != "sprint-color"
    side = 4 if small else 9
    dataset = write_npz(tmp_path / "small.npz", 81, side)
    outcome, _ = fit(architecture=architecture, dataset=dataset, batch_size=17, epochs=1, budget=budget)
    assert len(outcome.history) == 1


def test_schedule_counts_the_steps_that_are_made(fit: Fit, tmp_path: Path) -> None:
    """A last image that joins makes an epoch shorter by a step; the last step of all is the last of the schedule."""
    dataset = write_npz(tmp_path / "small.npz", 81, 10)
    outcome, _ = fit(network=Sizes(), dataset=dataset, batch_size=17, schedule="cosine", epochs=3, lr=0.01, patience=0)
    assert outcome.history[-1]["learning_rate"] == pytest.approx(0.01 * schedule_factor("cosine", 8 / 9))


def test_batches_of_one_with_batch_norm_are_one_message(tmp_path: Path) -> None:
    """No traceback and no files; a run that was to be replaced is still there."""
    dataset = write_npz(tmp_path / "small.npz", 81, 4)
    result = run_torchstone("train", "stone-l", "--dataset", dataset, "--batch-size", "1", "--out", tmp_path / "run")
    assert_refused(result, "one image at a time", "--batch-size of 2 or more")
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.npz"]
