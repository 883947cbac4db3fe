"""Mean and std estimated from a fit, and where such numbers are known from."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.diagnosis.affine import AffineFit
from torchstone_runtime.diagnosis.result import Mistake
from torchstone_runtime.diagnosis.values import FULL_RANGE, Chain, agrees

_KNOWN: Final[dict[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "ImageNet, in BGR order": ((0.406, 0.456, 0.485), (0.225, 0.224, 0.229)),
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CLIP": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "MNIST": ((0.1307,), (0.3081,)),
    "Fashion-MNIST": ((0.2860,), (0.3530,)),
    "scaling to -1..1": ((0.5,), (0.5,)),
    "scaling to -1..1, in colour": ((0.5,) * 3, (0.5,) * 3),
}
_PLAUSIBLE_STD: Final = (0.02, 8.0)
_PLAUSIBLE_MEAN: Final = 2.0


@dataclass(frozen=True, eq=False, slots=True)
class NormalizationEstimate:
    """Mean and std that explain a fit, per channel in units of the full range, with the mistake that they are."""

    mean: Float64Array
    std: Float64Array
    mistakes: tuple[Mistake, ...]
    note: str
    plausible: bool


def estimate(
    fit: AffineFit, mean: Float64Array, std: Float64Array, pixels: Float64Array
) -> NormalizationEstimate | None:
    """Solve gain and offset for mean and std; None where channels have no gain or gains of both signs.

    `pixels` are the picture's [T, h, w], whose own statistics may have been used.
    """
    inverted = bool((fit.gain < 0).all())
    if not inverted and not (fit.gain > 0).all():
        return None
    found_std = 1 / (FULL_RANGE * np.abs(fit.gain))
    found_mean = 1 - fit.offset * found_std if inverted else -fit.offset * found_std
    plausible = _PLAUSIBLE_STD[0] <= found_std.min() and found_std.max() <= _PLAUSIBLE_STD[1]
    plausible = plausible and np.abs(found_mean).max() <= _PLAUSIBLE_MEAN
    mistake = _own_statistics(fit, pixels) or _which(fit, mean, std, inverted=inverted)
    first = (Mistake("inverted", "Inverted: the negative of the picture, 255 - pixel."),) if inverted else ()
    return NormalizationEstimate(found_mean, found_std, (*first, mistake), _known_from(fit), bool(plausible))


def _own_statistics(fit: AffineFit, pixels: Float64Array) -> Mistake | None:
    scaled = pixels / FULL_RANGE
    axes: tuple[int, ...]
    for axes in ((1, 2), (0, 1, 2)):
        mean, low = scaled.mean(axis=axes, keepdims=True), scaled.min(axis=axes, keepdims=True)
        std, width = scaled.std(axis=axes, keepdims=True), scaled.max(axis=axes, keepdims=True) - low
        if (std == 0).any():
            continue
        if _is_chain(fit, mean.ravel(), std.ravel()):
            return Mistake("own-statistics", "Normalised by the image's own mean and std; the model's are fixed.")
        if _is_chain(fit, low.ravel(), width.ravel()):
            return Mistake("min-max", "Scaled so that the image's darkest pixel is 0 and its brightest 1.")
    return None


def _which(fit: AffineFit, mean: Float64Array, std: Float64Array, *, inverted: bool) -> Mistake:
    sign = -1 if inverted else 1
    gain = sign / (FULL_RANGE * std)
    # With the right std, whatever offset fits best belongs to another mean.
    offset = fit.offset + (fit.gain - gain) * fit.plane_mean
    if agrees(fit, Chain(gain, offset, (), "normalised")):
        return Mistake("wrong-mean", "Another mean than the model's was subtracted.")
    offset = FULL_RANGE * fit.gain * (mean - 1 if inverted else -mean)
    if agrees(fit, Chain(fit.gain, offset, (), "normalised")):
        return Mistake("wrong-std", "Divided by another std than the model's.")
    return Mistake("wrong-mean-std", "Another mean and another std than the model's were used.")


def _known_from(fit: AffineFit) -> str:
    for name, (mean, std) in _KNOWN.items():
        if len(mean) == len(fit.gain) and _is_chain(fit, np.asarray(mean), np.asarray(std)):
            return f"These mean and std are known from {name}."
    return ""


def _is_chain(fit: AffineFit, mean: Float64Array, std: Float64Array) -> bool:
    mean, std = np.broadcast_to(mean, fit.gain.shape), np.broadcast_to(std, fit.gain.shape)
    return agrees(fit, Chain(1 / (FULL_RANGE * std), -mean / std, (), "normalised"))
