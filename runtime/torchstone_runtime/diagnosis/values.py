"""Names for a gain and an offset: which scaling and which normalisation give them.

The right chain is value = (pixel / 255 - mean) / std. Each link may be missing, doubled or another one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.diagnosis.affine import AffineFit
from torchstone_runtime.diagnosis.result import Mistake, Stage
from torchstone_runtime.images.input_spec import InputSpec

FULL_RANGE: Final = 255.0
_SAME: Final = 0.05
"""Gray levels below which two chains are one: constants written with fewer digits differ by less."""
_ROUNDING: Final = 0.75
_NOT_RANDOM: Final = 0.5
"""Share of a residual above `_ROUNDING` gray levels by which gain and offset may be off."""

_INVERTED: Final = Mistake("inverted", "Inverted: the negative of the picture, 255 - pixel.")
_SCALES: Final[tuple[tuple[float, Mistake | None], ...]] = (
    (1 / FULL_RANGE, None),
    (1.0, Mistake("not-scaled", "Not scaled: the values were not divided by 255.")),
    (FULL_RANGE**-2, Mistake("scaled-twice", "Scaled twice: divided by 255 two times.")),
    (1 / 256, Mistake("divided-by-256", "Divided by 256; the model divides by 255.")),
)


@dataclass(frozen=True, eq=False, slots=True)
class Chain:
    """value = gain * pixel + offset, [T] each, with what is wrong with it."""

    gain: Float64Array
    offset: Float64Array
    mistakes: tuple[Mistake, ...]
    stage: Stage

    def apply(self, pixels: Float64Array) -> Float64Array:
        """Return the values of [T, h, w]."""
        return self.gain[:, None, None] * pixels + self.offset[:, None, None]


@dataclass(frozen=True)
class Chains:
    """All chains known for channels with this mean and std, [T] each; `integers`: whether the tensor holds them."""

    mean: Float64Array
    std: Float64Array
    integers: str | None

    @classmethod
    def of(cls, spec: InputSpec, channels: int, dtype: np.dtype) -> "Chains":
        """Return those of a model, for a tensor of so many channels."""
        mean, std = np.asarray(spec.mean), np.asarray(spec.std)
        if len(mean) != channels:
            mean, std = np.full(channels, mean.mean()), np.full(channels, std.mean())
        return cls(mean, std, dtype.name if dtype.kind in "bui" else None)

    @cached_property
    def all(self) -> tuple[Chain, ...]:
        """The chains with up to two mistakes, the simplest first; the rarest kind last among equals."""
        return tuple(sorted(self._products(), key=lambda chain: (len(chain.mistakes), _is_rare(chain))))

    def _products(self) -> Iterator[Chain]:
        for invert in (False, True):
            first = (_INVERTED,) if invert else ()
            for scale, wrong in _SCALES:
                gain = np.full(len(self.mean), -scale if invert else scale)
                offset = np.full(len(self.mean), scale * FULL_RANGE if invert else 0.0)
                yield self._plain(gain, offset, first, wrong)
                for divide, subtract, mistake in self._normalisations():
                    mistakes = (*first, *((wrong,) if wrong else ()), *((mistake,) if mistake else ()))
                    if len(mistakes) < 3:  # noqa: PLR2004 - combinations of two
                        yield Chain(gain * divide, offset * divide - subtract, mistakes, "normalised")

    def _plain(
        self, gain: Float64Array, offset: Float64Array, first: tuple[Mistake, ...], wrong: Mistake | None
    ) -> Chain:
        if wrong is not None and wrong.code == "not-scaled":
            return Chain(gain, offset, (*first, *self._raw_type()), "raw pixels")
        mistakes = (*first, *((wrong,) if wrong else ()))
        if (self.mean != 0).any() or (self.std != 1).any():
            missing = Mistake("not-normalised", "Not normalised: mean and std were not applied.")
            return Chain(gain, offset, (*mistakes, missing), "scaled")
        return Chain(gain, offset, mistakes, "normalised")

    def _raw_type(self) -> tuple[Mistake, ...]:
        if self.integers == "uint8":
            return ()
        if self.integers is not None:
            return (Mistake("dtype", f"The pixels are {self.integers}; the graph takes uint8."),)
        return (
            Mistake(
                "not-scaled",
                "Not scaled: the pixels are 0 to 255, as floating-point numbers, neither divided by 255 nor "
                "normalised. The bundle's graph takes just these pixels, but as uint8.",
            ),
        )

    def _normalisations(self) -> Iterator[tuple[Float64Array, Float64Array, Mistake | None]]:
        """Yield (d, s) with value = scaled * d - s."""
        mean, std = self.mean, self.std
        yield 1 / std, mean / std, None
        if (mean != mean[::-1]).any() or (std != std[::-1]).any():
            text = "The model's mean and std were used, but in BGR order."
            yield 1 / std[::-1], mean[::-1] / std[::-1], Mistake("mean-std-order", text)
        text = "Normalised twice: mean and std were applied two times."
        yield 1 / std**2, mean / std**2 + mean / std, Mistake("normalised-twice", text)
        yield (
            np.ones_like(std),
            mean,
            Mistake("std-not-applied", "The mean was subtracted, but not divided by the std."),
        )
        text = "Divided by the std, but the mean was not subtracted."
        yield 1 / std, np.zeros_like(mean), Mistake("mean-not-subtracted", text)
        text = "Divided by the std first and then the mean subtracted; the model subtracts first."
        yield 1 / std, mean, Mistake("mean-after-std", text)
        text = "Multiplied by the std; the model divides by it."
        yield std, mean * std, Mistake("multiplied-by-std", text)
        yield 1 / std, -mean / std, Mistake("mean-added", "The mean was added; the model subtracts it.")
        yield -1 / std, -mean / std, Mistake("sign-flipped", "The sign of the normalised values is flipped.")


def _is_rare(chain: Chain) -> bool:
    # With a mean of 0.5 a flipped sign is the negative of the picture, which is what people mean.
    return any(mistake.code == "sign-flipped" for mistake in chain.mistakes)


def agrees(fit: AffineFit, chain: Chain) -> bool:
    """Return whether a chain gives the fitted gains and offsets, as far as the noise lets them be told."""
    error, wanted = chain.gain - fit.gain, np.abs(chain.gain)
    middle = error * fit.plane_mean + chain.offset - fit.offset
    difference = np.sqrt(((error**2 * fit.plane_variance + middle**2) / wanted**2).mean())
    # The fitted line is off by about residual / sqrt(n). What compression or another filter changes goes with the
    # picture itself (softer edges look like a smaller gain), so beyond rounding a share of it is allowed for.
    noise = fit.residual * (6 / np.sqrt(fit.count) if fit.residual < _ROUNDING else _NOT_RANDOM)
    # Rounding of half precision is no noise: in a flat background it is the same everywhere.
    return bool(difference <= _SAME + fit.rounding + noise)
