"""16-bit pictures that use fewer bits: cameras and scanners of 10 or 12 bits store their values unscaled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.images.input_spec import MAX_BITS

SAMPLE_SIZE: Final = 32
"""Pictures of a dataset, evenly spread, whose values are looked at."""

_USUAL: Final = (8, 10, 12)


def scale_to_eight_bits(values: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint8]:
    """Return values of 0 to 2**bits - 1 as the nearest of 0 to 255, halves rounded up.

    Raises:
        ValueError: a value is larger.
    """
    largest = 2**bits - 1
    wide: npt.NDArray[np.uint32] = values.astype(np.uint32)
    if bits < MAX_BITS and wide.size and (found := int(wide.max())) > largest:
        raise ValueError(f"has values up to {found:,}; pictures of {bits} bits hold at most {largest:,}")
    scaled: npt.NDArray[np.uint8] = ((wide * 255 + largest // 2) // largest).astype(np.uint8)
    return scaled


@dataclass(frozen=True, slots=True)
class Depth:
    """What a 16-bit picture uses of its range.

    Attributes:
        peak: its largest value, 0 to 65535.
        is_gray: whether it has one channel; of others only the upper 8 bits are read.
    """

    peak: int
    is_gray: bool


def narrow_warning(depths: Sequence[Depth]) -> str | None:
    """Return what to say where no value of a sample of 16-bit pictures needs 16 bits, else None.

    Pictures that are black as a whole say nothing.
    """
    peak = max((depth.peak for depth in depths), default=0)
    bits = next((bits for bits in _USUAL if peak < 2**bits), None)
    if bits is None or not peak:
        return None
    found = (
        f"Warning: the 16-bit pictures ({len(depths):,} were looked at) have no value above {2**bits - 1:,}: they seem "
        f"to hold {bits} bits, and are nearly black as they are read now."
    )
    if all(depth.is_gray for depth in depths):
        return f"{found} Say so with --bits {bits}; if they are meant to be dark, with --bits {MAX_BITS}."
    return f"{found} Scale them to 8 bits first: of 16-bit pictures in colour only the upper 8 bits are read."
