"""The corruptions by name, with every constant; `corrupt` applies one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.corruption import blur, geometry, light, noise
from torchstone_runtime.corruption.random_streams import ImageStreams
from torchstone_runtime.errors import UsageError, suggestion

SEVERITIES: Final = (1, 2, 3, 4, 5)
_VALUES_AT_ONCE: Final = 1 << 18
"""Values corrupted at once: what is held beside the result stays within some MB, and near the cache."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """One kind of corruption.

    Attributes:
        name: name by which it is chosen.
        apply: function of uint8 images [n, C, H, W], a constant and the images' random numbers, which returns a new
            array of that shape.
        constants: constants for the severities 1 to 5.
        meaning: meaning of a constant, for people.
        family: `noise`, `blur`, `geometry` or `light`.
    """

    name: str
    apply: Callable[[Uint8Array, float, ImageStreams], Uint8Array]
    constants: tuple[float, float, float, float, float]
    meaning: str
    family: str


# The constants are chosen for pictures of 28 to 64 pixels. Where ImageNet-C and MNIST-C (224 and 28 pixels, the same
# constants) and CIFAR-10-C (32 pixels) have the corruption, they lie between the mildest and the strongest of these.
_ALL: Final = (
    Corruption(
        "gaussian-noise",
        noise.gaussian_noise,
        (0.04, 0.08, 0.12, 0.18, 0.26),
        "standard deviation, in shares of white",
        "noise",
    ),
    Corruption("shot-noise", noise.shot_noise, (250, 100, 50, 25, 12), "mean number of photons at white", "noise"),
    Corruption(
        "impulse-noise", noise.impulse_noise, (0.01, 0.03, 0.06, 0.1, 0.17), "share of values replaced", "noise"
    ),
    Corruption(
        "gaussian-blur",
        blur.gaussian_blur,
        (0.0125, 0.02, 0.03, 0.04, 0.06),
        "standard deviation, in shares of the shorter side",
        "blur",
    ),
    Corruption(
        "motion-blur",
        blur.motion_blur,
        (0.07, 0.14, 0.21, 0.29, 0.36),
        "length, in shares of the shorter side",
        "blur",
    ),
    Corruption(
        "shift",
        geometry.shift,
        (0.04, 0.07, 0.11, 0.14, 0.18),
        "distance, in shares of the shorter side",
        "geometry",
    ),
    Corruption("rotation", geometry.rotation, (6, 12, 18, 24, 30), "angle in degrees", "geometry"),
    Corruption("contrast", light.contrast, (0.75, 0.5, 0.4, 0.3, 0.15), "share of the contrast that is left", "light"),
    Corruption("brightness", light.brightness, (0.1, 0.2, 0.3, 0.4, 0.5), "share of white that is added", "light"),
    Corruption("inversion", light.inversion, (0.2, 0.4, 0.6, 0.8, 1.0), "share of the way to the inverse", "light"),
)
CORRUPTIONS: Final[dict[str, Corruption]] = {item.name: item for item in _ALL}


def corrupt(images: Uint8Array, name: str, severity: int, *, seed: int = 0, first: int = 0) -> Uint8Array:
    """Return corrupted copies of images.

    An image's result depends on its pixels, the corruption, the severity, the seed and its index alone: it is the
    same in whatever batches the images come.

    Args:
        images: uint8 [N, C, H, W], with any number of channels; left as they are.
        name: a key of `CORRUPTIONS`.
        severity: 1 (mild) to 5 (strong).
        seed: seed of all random numbers.
        first: index of the first image in its dataset.

    Returns:
        uint8 [N, C, H, W].

    Raises:
        UsageError: no such corruption or severity, or images of another dtype or shape.
    """
    corruption = find_corruption(name)
    check_severity(severity)
    if images.dtype != np.uint8 or images.ndim != 4:  # noqa: PLR2004 - N, C, H, W
        raise UsageError(f"Images must be uint8 [N, C, H, W], not {images.dtype} {list(images.shape)}.")
    constant = corruption.constants[severity - 1]
    at_once = max(1, _VALUES_AT_ONCE // max(1, int(np.prod(images.shape[1:]))))
    corrupted = np.empty(images.shape, dtype=np.uint8)
    for start in range(0, len(images), at_once):
        part = images[start : start + at_once]
        streams = ImageStreams(seed, name, first + start, len(part))
        corrupted[start : start + at_once] = corruption.apply(part, constant, streams)
    return corrupted


def find_corruption(name: str) -> Corruption:
    """Return the corruption called `name`.

    Raises:
        UsageError: there is none; the message suggests the nearest.
    """
    if name not in CORRUPTIONS:
        raise UsageError(f"There is no corruption '{name}'.", suggestion(name, CORRUPTIONS))
    return CORRUPTIONS[name]


def check_severity(severity: int) -> None:
    """Check that there is such a severity.

    Raises:
        UsageError: there is not.
    """
    if severity not in SEVERITIES:
        raise UsageError(f"There is no severity {severity}.", "Give 1 (mild) to 5 (strong).")
