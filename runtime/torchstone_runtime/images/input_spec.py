"""What a model expects of an image, and so what a caller has to do to a picture before inference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from torchstone_runtime.errors import BundleError

ColorMode = Literal["L", "RGB"]
ResampleFilter = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Fit = Literal["stretch", "crop", "pad"]
Decoding = Literal["full", "reduced"]

MAX_SIDE: Final = 8192
MAX_LEVEL: Final = 255
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
        resample: filter used where a picture has another size, Pillow's with `antialias`.
        fit: treatment of a picture of another shape. `stretch`: both sides are resized on their own; `crop`: the
            shorter side is resized to `resize`, then the centre is cut out; `pad`: the whole picture is shown, with
            a border of the level `fill`. `torchstone_runtime.images.geometry` does it.
        resize: pixels of the shorter side before the centre is cut out, 1 to 8192; None unless `fit` is `crop`.
        fill: gray level of the border, in all channels, 0 to 255; 0 unless `fit` is `pad`.
        antialias: whether a picture that shrinks is smoothed, as Pillow does it. Without, pixels are sampled between
            their nearest neighbours, as OpenCV does it; not with `lanczos`. Nothing changes with `nearest`.
        decode: size at which JPEG files are decoded: `full`, or `reduced` to a half, a quarter or an eighth of it where
            the input is much smaller, which is faster and differs by little (`images.reduced_decoding`). `reduced`
            needs `antialias`, and not the filter `nearest`.
        mean: per channel, in units of the full range (0 to 1).
        std: per channel, in units of the full range, greater than 0.
        bits: number of bits that the values of a 16-bit picture use, 8 to 16: 12 where the white of one is 4095.
    """

    color: ColorMode
    height: int
    width: int
    resample: ResampleFilter = "bilinear"
    fit: Fit = "stretch"
    resize: int | None = None
    fill: int = 0
    antialias: bool = True
    decode: Decoding = "full"
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
        self._check_fit()
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise ValueError(f"bits must lie in {MIN_BITS}..{MAX_BITS}, not {self.bits}")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need {self.channels} values each for color {self.color}")
        if not all(map(math.isfinite, self.mean + self.std)) or min(self.std) <= 0:
            raise ValueError("mean and std must be finite, and std greater than 0")

    def _check_fit(self) -> None:
        if self.fit not in get_args(Fit):
            raise ValueError(f"fit must be one of {get_args(Fit)}, not {self.fit!r}")
        if self.fit == "crop" and self.resize is None:
            raise ValueError("fit 'crop' needs resize, the pixels of the shorter side before the centre is cut out")
        if self.fit != "crop" and self.resize is not None:
            raise ValueError(f"resize is for fit 'crop', not for {self.fit!r}")
        if self.resize is not None and not (_is_whole(self.resize) and 0 < self.resize <= MAX_SIDE):
            raise ValueError(f"resize must be a whole number in 1..{MAX_SIDE}, not {self.resize!r}")
        if self.fit != "pad" and self.fill != 0:
            raise ValueError(f"fill is for fit 'pad', not for {self.fit!r}")
        if not (_is_whole(self.fill) and 0 <= self.fill <= MAX_LEVEL):
            raise ValueError(f"fill must be a whole number in 0..{MAX_LEVEL}, not {self.fill!r}")
        if self.decode not in get_args(Decoding):
            raise ValueError(f"decode must be one of {get_args(Decoding)}, not {self.decode!r}")
        if self.decode == "reduced" and (not self.antialias or self.resample == "nearest"):
            raise ValueError("decode 'reduced' smooths: it needs antialias, and another resample than 'nearest'")
        if not self.antialias and self.resample == "lanczos":
            raise ValueError("resample 'lanczos' is only defined with antialias")

    @property
    def channels(self) -> int:
        """Number of colour channels: 1 for `L`, 3 for `RGB`."""
        return 1 if self.color == "L" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def format_version(self) -> int:
        """The earliest version of the bundle format whose readers would give the model the right pixels: 1 to 4."""
        if self.decode != "full":
            return 4
        if self.fit != "stretch" or not self.antialias:
            return 3
        return 2 if self.bits != MAX_BITS else 1

    def geometry_text(self) -> str:
        """Return in words how a picture of another size or shape comes to the model's: `stretch (bilinear)`."""
        steps = {
            "stretch": "stretch",
            "crop": f"crop: shorter side to {self.resize}, then the centre {self.height} x {self.width}",
            "pad": f"pad: the whole picture, border of level {self.fill}",
        }
        how = f"{self.resample}{'' if self.antialias else ', not antialiased'}"
        return f"{steps[self.fit]} ({how}{', JPEGs decoded at reduced size' if self.decode == 'reduced' else ''})"

    def to_json(self) -> dict[str, Any]:
        """Return the `input` object of a manifest (see docs/reference/bundle-format.md)."""
        # Only where they aren't the usual ones: then the manifest is of a later version, see `format_version`.
        unusual = {
            "bits": None if self.bits == MAX_BITS else self.bits,
            "resize": self.resize,
            "fill": self.fill or None,
            "antialias": None if self.antialias else False,
            "decode": None if self.decode == "full" else self.decode,
        }
        return {
            **{key: value for key, value in unusual.items() if value is not None},
            "name": "images",
            "dtype": "uint8",
            "layout": "NCHW",
            "color": self.color,
            "height": self.height,
            "width": self.width,
            "resample": self.resample,
            "fit": self.fit,
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
            for key, values in (("dtype", ("uint8",)), ("layout", ("NCHW",)), ("fit", get_args(Fit))):
                if data[key] not in values:
                    known = " and ".join(map(repr, values))
                    raise BundleError(f"input.{key} is {data[key]!r}; this version reads {known} only")
            return cls(
                color=cast("ColorMode", data["color"]),
                height=_whole(data["height"]),
                width=_whole(data["width"]),
                resample=cast("ResampleFilter", data["resample"]),
                fit=cast("Fit", data["fit"]),
                resize=_whole(data["resize"]) if "resize" in data else None,
                fill=_whole(data.get("fill", 0)),
                antialias=_flag(data.get("antialias", True)),
                decode=cast("Decoding", data.get("decode", "full")),
                mean=tuple(float(value) for value in in_graph["mean"]),
                std=tuple(float(value) for value in in_graph["std"]),
                bits=_whole(data.get("bits", MAX_BITS)),
            )
        except BundleError:
            raise
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BundleError(f"the input specification is not valid: {error!r}") from error


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number, not {value!r}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, not {value!r}")
    return value
