"""A training leaves the process as it was."""

from pathlib import Path

import torch

import torchstone


def test_a_training_gives_the_threads_back(tmp_path: Path) -> None:
    """What the same process computes afterwards, such as a certificate, depends on their number in its last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        torchstone.train("mlp", data="digits", out=tmp_path / "run", epochs=1)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
