"""What a model expects of an image, and so what a caller has to do to a picture before inference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from torchstone_runtime.errors import BundleError

ColorMode = Literal["L", "RGB"]
ResampleFilter = Literal["nearest", "bilinear", "bicubic", "lanczos"]

MAX_SIDE: Final = 8192
MIN_BITS: Final = 8
MAX_BITS: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class InputSpec:
    """The images that a model takes: uint8, NCHW, values 0 to 255.

    Decoding, colour conversion and resizing (`torchstone_runtime.images.decode.decode_image`) are the caller's part.
    Casting, scaling and normalising, `(pixel / 255 - mean) / std` per channel, are inside the model.

    Attributes:
        color: Pillow mode that a picture is converted to: `L` (one channel) or `RGB` (three).
        height: rows of pixels.
        width: columns of pixels.
        resample: Pillow filter used where a picture has another size; the picture is stretched to fit.
        mean: per channel, in units of the full range (0 to 1).
        std: per channel, in units of the full range, greater than 0.
        bits: number of bits that the values of a 16-bit picture use, 8 to 16: 12 where the white of one is 4095.
    """

    color: ColorMode
    height: int
    width: int
    resample: ResampleFilter = "bilinear"
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bits: int = MAX_BITS

    def __post_init__(self) -> None:
        if self.color not in get_args(ColorMode):
            raise ValueError(f"color must be one of {get_args(ColorMode)}, not {self.color!r}")
        if self.resample not in get_args(ResampleFilter):
            raise ValueError(f"resample must be one of {get_args(ResampleFilter)}, not {self.resample!r}")
        if not (0 < self.height <= MAX_SIDE and 0 < self.width <= MAX_SIDE):
            raise ValueError(f"height and width must lie in 1..{MAX_SIDE}, not {self.height} x {self.width}")
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise ValueError(f"bits must lie in {MIN_BITS}..{MAX_BITS}, not {self.bits}")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need {self.channels} values each for color {self.color}")
        if not all(map(math.isfinite, self.mean + self.std)) or min(self.std) <= 0:
            raise ValueError("mean and std must be finite, and std greater than 0")

    @property
    def channels(self) -> int:
        """Number of colour channels: 1 for `L`, 3 for `RGB`."""
        return 1 if self.color == "L" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def needs_version_2(self) -> bool:
        """Whether a reader that knows version 1 of the bundle format alone would give the model other pixels."""
        return self.bits != MAX_BITS

    def to_json(self) -> dict[str, Any]:
        """Return the `input` object of a manifest (see docs/bundle-format.md)."""
        # Only where it isn't the usual one: then the manifest is of a later version, see `needs_version_2`.
        narrow = {"bits": self.bits} if self.needs_version_2 else {}
        return {
            **narrow,
            "name": "images",
            "dtype": "uint8",
            "layout": "NCHW",
            "color": self.color,
            "height": self.height,
            "width": self.width,
            "resample": self.resample,
            "fit": "stretch",
            "in_graph": {"scale": "1/255", "mean": list(self.mean), "std": list(self.std)},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "InputSpec":
        """Read what `to_json` wrote.

        Raises:
            BundleError: a field is missing, of another type, or out of range.
        """
        try:
            in_graph = data["in_graph"]
            for key, value in (("dtype", "uint8"), ("layout", "NCHW"), ("fit", "stretch")):
                if data[key] != value:
                    raise BundleError(f"input.{key} is {data[key]!r}; this version reads {value!r} only")
            return cls(
                color=cast("ColorMode", data["color"]),
                height=_whole(data["height"]),
                width=_whole(data["width"]),
                resample=cast("ResampleFilter", data["resample"]),
                mean=tuple(float(value) for value in in_graph["mean"]),
                std=tuple(float(value) for value in in_graph["std"]),
                bits=_whole(data.get("bits", MAX_BITS)),
            )
        except BundleError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleError(f"the input specification is not valid: {error!r}") from error


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number, not {value!r}")
    return value
