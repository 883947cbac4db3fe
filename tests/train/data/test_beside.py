"""What is drawn on the CPU for images on a GPU."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from torchstone_train.data.augment import augment


class _OnGpu(torch.Tensor):
    """Images that say they lie on a GPU."""

    device: Any = SimpleNamespace(type="cuda")


@pytest.mark.parametrize("name", ["flip", "erase"])
def test_a_gpu_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, name: Any) -> None:  # noqa: ANN401 - a literal
    """A copy that waits holds up the next batch until the last step is done."""
    waited: list[bool] = []

    def to(self: torch.Tensor, *_: object, non_blocking: bool = False) -> torch.Tensor:
        waited.append(not non_blocking)
        return self

    monkeypatch.setattr(torch.Tensor, "to", to)
    images = torch.zeros((2, 1, 4, 4), dtype=torch.uint8).as_subclass(_OnGpu)
    augment(name, images, torch.Generator().manual_seed(0))

    assert set(waited) == {False}
