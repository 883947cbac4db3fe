"""What a person states, laid over what a source says of a preprocessing."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.preprocessing.preprocessing import Preprocessing

_OF_FIT: Final = {"resize": "crop", "fill": "pad"}
_OF_FLOATS: Final = ("mean", "std", "pixel_range")
_SHOWN: Final = (
    *("input", "color", "fit", "resize", "fill", "resize_filter", "antialias", "decode"),
    *("pixel_range", "mean", "std", "output"),
)
_QUIET: Final = {"pixel_range": "0-1", "color": "RGB", "antialias": True, "decode": "full", "fill": 0}
"""Values that go without saying."""


def still_meant(fields: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that still mean something beside those that replace some of them.

    With another fit, what belongs to the one before goes; a model that takes uint8 needs no mean and std.
    """
    gone = [name for name, fit in _OF_FIT.items() if stated.get("fit") not in (None, fit)]
    gone += _OF_FLOATS if stated.get("dtype") == "uint8" else ()
    return {name: value for name, value in fields.items() if name not in gone}


def lay_over(fields: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a source that are still meant, each replaced where it is stated.

    In the other order of colours the source's mean and std are turned round as well.
    """
    kept = still_meant(fields, stated)
    if {stated.get("color"), kept.get("color")} == {"RGB", "BGR"}:
        kept |= {name: kept[name][::-1] for name in ("mean", "std") if name in kept}
    return kept | dict(stated)


def describe_source(preprocessing: Preprocessing, spec: ModelSpec, stated: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line on what a source says, one on each field that is replaced, and the source's notes."""
    fields = preprocessing.fields
    said = [name for name in _SHOWN if name in fields and fields[name] != _QUIET.get(name)]
    yield f"{preprocessing.source}: {', '.join(f'{_option(name)} {shown(fields[name])}' for name in said)}"
    for name in fields:
        found = getattr(spec, name)
        if name in stated and found != fields[name]:
            source = "" if name == "classes" else f" ({shown(fields[name])})"
            yield f"{_option(name)} {shown(found)} is stated, and replaces what the source says{source}"
    yield from preprocessing.notes


def shown(value: object) -> str:
    """Return a field's value as an option takes it: `3x224x224` of an input, `0.5,0.5,0.5` of numbers."""
    if isinstance(value, tuple) and all(isinstance(part, int) for part in value):
        return "x".join(map(str, value))
    if isinstance(value, tuple):
        return ",".join(f"{part:.6g}" if isinstance(part, float) else str(part) for part in value)
    return str(value)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
