"""Other preprocessings that a model may have been trained with: one factor of a spec changed at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.spec_overlay import shown

_IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_GRAY_IMAGENET: Final = ((0.449,), (0.226,))
_CLIP: Final = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_CIFAR: Final = ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
_LITE: Final = (127 / 255, 128 / 255)
"""Of EfficientNet-lite: (pixel - 127) / 128."""
_MNIST: Final = (((0.1307,), (0.3081,)), ((0.286,), (0.353,)))
"""Of MNIST and of Fashion-MNIST."""
_SHARES: Final = (0.875, 1.0, 0.95, 0.9, 0.8)
"""Of the resized picture's shorter side that a centre crop keeps, the most usual first."""
_FILLS: Final = (0, 128, 255)
_SAME_RESIZE: Final = 0.02
_SAME_NUMBER: Final = 1e-3
_FILTERS: Final = ("bilinear", "bicubic", "lanczos", "nearest")
_NORMALISATION: Final = ("pixel_range", "mean", "std")
_GEOMETRY: Final = ("fit", "resize", "fill")


@dataclass(frozen=True, slots=True)
class SpecCandidate:
    """A spec with one factor changed.

    Attributes:
        factor: `color`, `normalisation`, `fit` or `filter`.
        spec: the changed spec.
    """

    factor: str
    spec: ModelSpec


Numbers = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation per channel, in the order of RGB and in units of 0 to 1."""


def candidates_beside(spec: ModelSpec, *, pictures: bool, own: Numbers | None = None) -> list[SpecCandidate]:
    """Return the usual specs that differ from one in one factor; of each factor, the most usual first.

    Args:
        spec: spec to start from.
        pictures: whether the images are made from pictures of other sizes, so that fit and filter matter.
        own: mean and standard deviation of the images, which many models are trained with; None: not known.
    """
    found = [*_other_colors(spec), *_other_normalisations(spec, own)]
    if pictures:
        found += [*_other_fits(spec), *_other_filters(spec)]
    return list({item.spec: item for item in reversed(found)}.values())[::-1]


def changed_options(old: ModelSpec, new: ModelSpec) -> str:
    """Return the options that make one spec the other, to be typed."""
    changed = {name for name in _FIELDS if getattr(old, name) != getattr(new, name)}
    for group in (_NORMALISATION, _GEOMETRY):
        if changed & set(group):
            changed |= set(group)
    if "color" in changed:  # a source's mean and std would be turned round with it
        changed |= set(_NORMALISATION)
    return " ".join(_option(name, new) for name in _FIELDS if name in changed and _is_needed(name, new))


_FIELDS: Final = ("color", *_NORMALISATION, *_GEOMETRY, "resize_filter", "antialias")


def _is_needed(name: str, spec: ModelSpec) -> bool:
    return not (
        (name == "resize" and spec.fit != "crop")
        or (name == "fill" and spec.fit != "pad")
        or (name in _NORMALISATION and spec.dtype == "uint8")
    )


def _option(name: str, spec: ModelSpec) -> str:
    value = getattr(spec, name)
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{name}"
    return f"--{name.replace('_', '-')} {shown(value)}"


def _other_colors(spec: ModelSpec) -> Iterator[SpecCandidate]:
    if spec.color == "L":
        return
    other = replace(spec, color="BGR" if spec.color == "RGB" else "RGB")
    yield SpecCandidate("color", other)
    turned = replace(other, mean=spec.mean[::-1], std=spec.std[::-1])
    if turned != other:  # whoever stated the colours wrongly stated mean and std in their order, or didn't
        yield SpecCandidate("color", turned)


def _other_normalisations(spec: ModelSpec, own: Numbers | None) -> Iterator[SpecCandidate]:
    if spec.dtype == "uint8":
        return
    channels = spec.input[0]
    seen = [_in_units(spec)]
    turned = spec.color == "BGR"
    for fields in (*_usual_normalisations(channels, turned), *_rescaled(spec), *_of_images(own, turned)):
        candidate = replace(spec, **fields)
        numbers = _in_units(candidate)
        if not any(_are_close(numbers, other) for other in seen):
            seen.append(numbers)
            yield SpecCandidate("normalisation", candidate)


def _usual_normalisations(channels: int, turned: bool) -> Iterator[dict[str, Any]]:
    mean, std = _IMAGENET if channels > 1 else _GRAY_IMAGENET
    half, lite = ((0.5,) * channels, (0.5,) * channels), (_LITE[:1] * channels, _LITE[1:] * channels)
    plain = ((0.0,) * channels, (1.0,) * channels)
    others = (_CLIP, _CIFAR) if channels > 1 else _MNIST
    for center, spread in ((mean, std), half, plain, *others, lite, (mean, plain[1])):
        order = -1 if turned else 1
        yield {"pixel_range": "0-1", "mean": center[:channels][::order], "std": spread[:channels][::order]}
    for center in (plain[0], tuple(255 * value for value in mean)[:: -1 if turned else 1]):
        yield {"pixel_range": "0-255", "mean": center, "std": plain[1]}


def _rescaled(spec: ModelSpec) -> Iterator[dict[str, Any]]:
    yield {"pixel_range": "0-255" if spec.pixel_range == "0-1" else "0-1"}


def _of_images(own: Numbers | None, turned: bool) -> Iterator[dict[str, Any]]:
    if own is not None:
        mean, std = (numbers[:: -1 if turned else 1] for numbers in own)
        yield {"pixel_range": "0-1", "mean": mean, "std": std}


def _in_units(spec: ModelSpec) -> tuple[float, ...]:
    unit = 1.0 if spec.pixel_range == "0-1" else 255.0
    return tuple(value / unit for value in (*spec.mean, *spec.std))


def _are_close(numbers: tuple[float, ...], others: tuple[float, ...]) -> bool:
    half = len(numbers) // 2
    return all(
        abs(value - other) <= _SAME_NUMBER * max(1e-2, abs(others[half + index % half]))
        for index, (value, other) in enumerate(zip(numbers, others, strict=True))
    )


def _other_fits(spec: ModelSpec) -> Iterator[SpecCandidate]:
    longer = max(spec.input[1:])
    stated = (spec.resize or longer) if spec.fit == "crop" else 0
    for share in _SHARES:
        resize = int(longer / share)
        if abs(resize - stated) > _SAME_RESIZE * longer:
            yield SpecCandidate("fit", replace(spec, fit="crop", resize=resize, fill=0))
    if spec.fit != "stretch":
        yield SpecCandidate("fit", replace(spec, fit="stretch", resize=None, fill=0))
    for fill in _FILLS:
        if (spec.fit, spec.fill) != ("pad", fill):
            yield SpecCandidate("fit", replace(spec, fit="pad", resize=None, fill=fill))


def _other_filters(spec: ModelSpec) -> Iterator[SpecCandidate]:
    for name in _FILTERS:
        if name != spec.resize_filter:
            yield SpecCandidate("filter", replace(spec, resize_filter=name, antialias=True))
    if spec.resize_filter in ("bilinear", "bicubic"):  # Lanczos is defined with antialiasing alone
        yield SpecCandidate("filter", replace(spec, antialias=not spec.antialias))
