"""Mistakes that are no straight line: rounding, clipping, wrapping around, gamma."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.diagnosis.geometry import View
from torchstone_runtime.diagnosis.result import Mistake
from torchstone_runtime.diagnosis.values import Chain

_SAME_SHARE: Final = 0.995

_CAST: Final = Mistake("rounded", "Cast to whole numbers after scaling or normalising: the fractions are lost.")
_CLIPPED: Final = Mistake("clipped", "Clipped after scaling or normalising: values outside a range are lost.")
_WRAPPED: Final = Mistake("rounded", "Cast to unsigned bytes after normalising: fractions lost, negatives wrapped.")

_Operation = tuple[Mistake, Callable[[Float64Array], Float64Array]]
_WHOLE: Final[tuple[_Operation, ...]] = (
    (_CAST, np.trunc),
    (_CAST, np.rint),
    (_CAST, np.floor),
    (_CAST, lambda x: np.clip(np.trunc(x), 0, 255)),
    (_CAST, lambda x: np.clip(np.rint(x), 0, 255)),
    (_WRAPPED, lambda x: np.trunc(x) % 256),
)
_BOUNDED: Final[tuple[_Operation, ...]] = (
    (_CLIPPED, lambda x: np.clip(x, 0, 1)),
    (_CLIPPED, lambda x: np.clip(x, 0, None)),
    (_CLIPPED, lambda x: np.clip(x, -1, 1)),
)


def lossy(tensor: Float64Array, pixels: Float64Array, chains: tuple[Chain, ...]) -> Iterator[tuple[Chain, Mistake]]:
    """Yield the chains that give [T, h, w] `tensor` from `pixels` once their values are rounded or clipped."""
    whole = bool((tensor == np.rint(tensor)).all())
    for chain in chains:
        if chain.stage == "raw pixels" or len(chain.mistakes) > 1:
            continue
        values = chain.apply(pixels)
        tolerance = 1e-3 * max(float(values.std()), 1e-9)
        for mistake, operation in _WHOLE if whole else _BOUNDED:
            changed = operation(values)
            if _share(np.abs(changed - tensor) <= tolerance) > _SAME_SHARE and (changed != values).any():
                yield chain, mistake


def bent(view: View) -> Iterator[View]:
    """Yield the view with other gray levels: read as signed bytes, or its gamma undone."""
    x = view.pixels
    text = "The pixels were read as signed bytes: those above 127 are negative."
    yield View(np.where(x > 127, x - 256, x), (*view.mistakes, Mistake("dtype", text)), turn=view.turn)  # noqa: PLR2004 - int8
    unit = x / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004 - IEC 61966-2-1
    text = "The gray levels were changed by a gamma curve; the model takes them as they are in the file."
    for curve in (linear, unit**2.2, unit ** (1 / 2.2)):
        yield View(curve * 255, (*view.mistakes, Mistake("gamma", text)), turn=view.turn)


def _share(agree: npt.NDArray[Any]) -> float:
    return float(agree.mean())
