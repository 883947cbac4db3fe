"""A module of another origin between normalised images and logits."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.two_classes import SigmoidTakenOff, TwoClasses
from torchstone_runtime.arrays import Float64Array, Uint8Array
from torchstone_runtime.errors import DataError
from torchstone_train.networks.image_classifier import ImageClassifier

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
        self.spec = spec
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

    def with_spec(self, spec: ModelSpec) -> "NormalizedNetwork":
        """Return the same module behind another spec of its input."""
        return NormalizedNetwork(self.module, spec, self.two_classes, self._sigmoid)

    def output(self, images: Tensor) -> Tensor:
        """Return the module's own class outputs."""
        return pick_output(self.module(images.flip(1) if self._swap_channels else images), self._output_name)


def answer_of(network: NormalizedNetwork) -> Callable[[ModelSpec, Uint8Array], Float64Array]:
    """Return a function that answers uint8 images (N, C, H, W), normalised as a spec says, with logits (N, K)."""

    def answer(spec: ModelSpec, images: Uint8Array) -> Float64Array:
        stated = replace(spec, output=network.spec.output)  # what a final sigmoid told of the output stays
        classifier = ImageClassifier(network.with_spec(stated), stated.input_spec()).eval()
        with torch.no_grad():
            logits: Float64Array = classifier(torch.from_numpy(images)).numpy().astype(np.float64)
        return logits

    return answer


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
