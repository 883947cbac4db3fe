"""A module of another origin between normalised images and logits."""

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.two_classes import SigmoidTakenOff, TwoClasses
from torchstone_runtime.errors import DataError

SMALLEST_PROBABILITY: Final = float(np.finfo(np.float32).tiny)
"""Smaller probabilities count as this one, so that their logarithm is finite: float32's smallest normal number."""


class NormalizedNetwork(nn.Module):
    """A module of another origin between our normalised RGB or L images (N, C, H, W) and logits (N, K).

    Args:
        module: the module.
        spec: input and output of the module.
        two_classes: rule by which the module's one output becomes two; None where it has one output per class.
        sigmoid: position of the module's call of sigmoid that is left out, counted from 0; None: none is.
    """

    def __init__(
        self, module: nn.Module, spec: ModelSpec, two_classes: TwoClasses | None = None, sigmoid: int | None = None
    ) -> None:
        super().__init__()
        self.module = module
        self._swap_channels = spec.color == "BGR"
        self._probabilities = spec.output == "probabilities"
        self._output_name = spec.output_name
        self.two_classes = two_classes
        self._sigmoid = sigmoid

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of normalised float images (N, C, H, W)."""
        if self.two_classes is None:
            output = self.output(images)
            return torch.log(output.clamp_min(SMALLEST_PROBABILITY)) if self._probabilities else output
        if self._sigmoid is None:
            return self.two_classes.logits(self.output(images))
        with SigmoidTakenOff(self._sigmoid):
            output = self.output(images)
        return self.two_classes.logits(output)

    def output(self, images: Tensor) -> Tensor:
        """Return the module's own class outputs."""
        return pick_output(self.module(images.flip(1) if self._swap_channels else images), self._output_name)


def pick_output(output: object, name: str | None) -> Tensor:
    """Find the class outputs in what a module returned.

    Args:
        output: a tensor, a tuple or list of one tensor, a dictionary or object with `logits`.
        name: position, key or attribute of the class outputs where `output` leaves it open; None where it does not.

    Raises:
        DataError: it isn't there, or can't be told from the others.
    """
    if name is not None:
        found = _named_output(output, name)
    elif isinstance(output, dict):
        found = output.get("logits", next(iter(output.values())) if len(output) == 1 else None)
    elif hasattr(output, "logits"):
        found = output.logits
    elif isinstance(output, tuple | list) and len(output) == 1:
        found = output[0]
    else:
        found = output
    if isinstance(found, Tensor):
        return found
    raise DataError(
        f"The module returns {_describe(output)}; expected one tensor of shape N x K"
        + (f", or a '{name}' that is one." if name else "."),
        "Say which output holds the classes (output_name: a key, an attribute or a position), "
        "or wrap the module so that it returns that tensor alone.",
    )


def _named_output(output: object, name: str) -> object:
    if isinstance(output, dict):
        return output.get(name)
    if isinstance(output, tuple | list) and name.isdecimal():
        return output[int(name)] if int(name) < len(output) else None
    return getattr(output, name, None)


def _describe(output: object) -> str:
    if isinstance(output, dict):
        return f"a dictionary with {', '.join(map(str, output))}"
    if isinstance(output, tuple | list):
        parts = ["x".join(map(str, item.shape)) if isinstance(item, Tensor) else type(item).__name__ for item in output]
        return f"{len(output)} outputs ({', '.join(parts)})"
    return type(output).__name__
