"""What a network makes its answer of: the input of the last layer that has an output for each class."""

from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor, nn

from torchstone_runtime.arrays import Float32Array, Int64Array
from torchstone_runtime.data.split import Split
from torchstone_train.compute.inference_batch import inference_batches

_BATCH: Final = 256
_MATRIX: Final = 2
"""Axes of features of one vector an image."""


@torch.inference_mode()
def penultimate_features(model: nn.Module, split: Split, indices: Int64Array, *, device: torch.device) -> Float32Array:
    """Return the penultimate features of some images of a split, float32 [n, F].

    Features at several places of an image are averaged over them. The logits stand in for them where no linear layer
    or convolution has an output for each class.

    Args:
        model: network that takes uint8 images [n, C, H, W] on `device`; it is left in evaluation mode.
        split: split whose images are read.
        indices: indices of the images, int64 [n], at least one.
        device: device of the model.

    Raises:
        ImageError: a picture can no longer be read.
    """
    model.eval()
    found: list[Float32Array] = []
    with PenultimateInput(model, len(split.class_names)) as last:
        for start in range(0, len(indices), _BATCH):
            images = torch.from_numpy(split.store.read(indices[start : start + _BATCH]).copy()).to(device)
            found += [last.vectors(model(part)).float().cpu().numpy() for part in inference_batches(images)]
    return np.concatenate(found)


class PenultimateInput:
    """Keeps what the last layer with an output for each class was given, for as long as it is entered.

    Args:
        model: network, which is left without hooks.
        classes: number of classes.
    """

    def __init__(self, model: nn.Module, classes: int) -> None:
        self._layers = [part for part in model.modules() if _outputs(part) == classes]
        self._handles: list[Any] = []
        self._input: Tensor | None = None

    def __enter__(self) -> Self:
        self._handles = [layer.register_forward_pre_hook(self._keep) for layer in self._layers]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _keep(self, _: nn.Module, given: tuple[Any, ...]) -> None:
        self._input = given[0] if given and isinstance(given[0], Tensor) else None

    def vectors(self, logits: Tensor) -> Tensor:
        """Return the features [n, F] of the batch that gave these logits [n, K], and forget them.

        Those at several places of an image are averaged; the logits stand in where no layer was given a row an image.
        """
        kept, self._input = self._input, None
        if kept is None or len(kept) != len(logits) or kept.dim() < _MATRIX:
            return logits
        return kept if kept.dim() == _MATRIX else kept.flatten(2).mean(dim=2)


def _outputs(part: nn.Module) -> int | None:
    if isinstance(part, nn.Linear):
        return part.out_features
    return part.out_channels if isinstance(part, nn.Conv2d) else None
