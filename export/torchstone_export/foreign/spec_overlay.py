"""What a person states, laid over what a source says of a preprocessing."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.preprocessing.preprocessing import Preprocessing

_OF_FIT: Final = ("resize", "fill")
_SHOWN: Final = (
    *("input", "color", "fit", "resize", "fill", "resize_filter", "antialias", "decode"),
    *("pixel_range", "mean", "std", "output"),
)
_QUIET: Final = {"pixel_range": "0-1", "color": "RGB", "antialias": True, "decode": "full", "fill": 0}
"""Values that go without saying."""


def lay_over(fields: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a source, each replaced where it is stated.

    With another fit, what belongs to the source's goes; a model that takes uint8 needs no mean and std; in the other
    order of colours the source's mean and std are turned round as well.
    """
    kept = dict(fields)
    if stated.get("dtype") == "uint8":
        kept = {name: value for name, value in kept.items() if name not in ("mean", "std", "pixel_range")}
    if stated.get("fit") not in (None, kept.get("fit")):
        kept = {name: value for name, value in kept.items() if name not in _OF_FIT}
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
