"""Faults put into normalisations written by hand, for the certificate's study."""

from collections.abc import Callable
from copy import deepcopy
from typing import Final

import torch
from torch import Tensor, nn

from benchmarks.certificate_study.handmade import MAP, WHOLE, Normalised, Times
from helpers.faults import ModelFault, NotApplicable
from torchstone_export.model import ExportableClassifier

_WITHOUT_EPSILON: Final = ("mean",)
_OF_FIXED_AXES: Final = ("einsum", "neighbourhood", "response")
_OF_ANY_AXES: Final = ("mean", "deviation", "variance", "moments", "rms", "absolute sum", "range")


class Rounded(nn.Module):
    """A normaliser that is given its values in another precision."""

    def __init__(self, norm: Normalised, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm, self.dtype = norm, dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        result: Tensor = self.norm(x.to(self.dtype).to(x.dtype))
        return result


class ByOneMore(nn.Module):
    """A normaliser that divides by n where it should divide by n - 1."""

    def __init__(self, norm: Normalised) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        count = x[0].numel() / (1 if 1 in self.norm.dims else x.shape[1])
        result: Tensor = self.norm(x) * (1 - 1 / count) ** 0.5
        return result


def in_place_of(change: Callable[[Normalised], nn.Module]) -> ModelFault:
    """Return the fault that changes every normaliser of a model."""

    def fault(model: ExportableClassifier) -> ExportableClassifier:
        copy = deepcopy(model)
        found = {name: layer for name, layer in copy.named_modules() if isinstance(layer, Normalised)}
        if not found:
            raise NotApplicable
        for name, layer in found.items():
            parent, _, own = name.rpartition(".")
            setattr(copy.get_submodule(parent), own, change(layer))
        return copy

    return fault


def _epsilon(value: float) -> ModelFault:
    def change(norm: Normalised) -> nn.Module:
        if norm.name in _WITHOUT_EPSILON:
            raise NotApplicable
        return Normalised(norm.name, norm.dims, epsilon=value)

    return in_place_of(change)


def _other_axes(norm: Normalised) -> nn.Module:
    if norm.name in _OF_FIXED_AXES:
        raise NotApplicable
    return Normalised(norm.name, MAP if norm.dims == WHOLE else WHOLE, **norm.options)


def _whole_batch(norm: Normalised) -> nn.Module:
    if norm.name not in _OF_ANY_AXES:
        raise NotApplicable
    return Normalised(norm.name, (0, *norm.dims), **norm.options)


HANDMADE_FAULTS: Final[dict[str, ModelFault]] = {
    "by hand: left out": in_place_of(lambda _: Times(1.0)),
    "by hand: over other axes": in_place_of(_other_axes),
    "by hand: epsilon 1e-4": _epsilon(1e-4),
    "by hand: epsilon 1e-2": _epsilon(1e-2),
    "by hand: n in place of n - 1": in_place_of(ByOneMore),
    "by hand: statistics of the batch": in_place_of(_whole_batch),
    "by hand: values in fp16": in_place_of(lambda norm: Rounded(norm, torch.float16)),
    "by hand: values in bfloat16": in_place_of(lambda norm: Rounded(norm, torch.bfloat16)),
}
