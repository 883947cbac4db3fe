"""A training leaves the process as it was."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import torchstone
from helpers.in_process import without_matplotlib


@pytest.fixture(autouse=True)
def _no_pictures() -> Iterator[None]:
    with without_matplotlib():
        yield


def test_a_training_gives_the_threads_back(few_digits: str, tmp_path: Path) -> None:
    """What the same process computes afterwards, such as a certificate, depends on their number in its last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        torchstone.train("mlp", data=few_digits, out=tmp_path / "run", epochs=1)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_training_gives_determinism_back(few_digits: str, tmp_path: Path, deterministic: bool) -> None:
    """A network that is traced or trained afterwards, by whatever means, would follow the earlier training's choice."""
    torchstone.train("mlp", data=few_digits, out=tmp_path / "run", epochs=1, deterministic=deterministic)

    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]  # torch has no stub
