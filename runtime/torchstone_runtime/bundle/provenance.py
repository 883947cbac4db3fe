"""Where a bundle's model comes from, told to people. Standard library only: `inspect` stays light."""

from collections.abc import Mapping
from typing import Any

from torchstone_runtime.text import is_showable, showable


def describe_origin(provenance: Mapping[str, Any]) -> str:
    """Return one line on a model that Torchstone did not train; an empty text for one that it did.

    Args:
        provenance: a manifest's `provenance`; free-form, so that nothing in it is relied on.
    """
    origin = provenance.get("origin")
    if not isinstance(origin, Mapping):
        return ""

    def shown(key: str) -> str:
        text = str(origin.get(key) or "not stated")
        return text if is_showable(text) else ascii(text)

    decided = _two_classes(origin)
    if origin.get("kind") == "module":
        return f"the PyTorch module {shown('factory')}, weights sha256 {shown('weights_sha256')[:16]}…{decided}"
    made = f"an ONNX file made by {shown('producer')}, sha256 {shown('onnx_sha256')[:16]}…"
    return f"{made}; no PyTorch reference{decided}"


def _two_classes(origin: Mapping[str, Any]) -> str:
    if not isinstance(origin.get("two_classes"), Mapping):
        return ""
    negative, positive = (showable(str(_at(origin, "two_classes", key))) for key in ("negative", "positive"))
    threshold = _at(origin, "two_classes", "threshold")
    moved = "" if threshold == 0.5 else ", and 0.5 stands for the threshold in the bundle's probabilities"  # noqa: PLR2004
    return f"; one output: '{positive}' above a probability of {_number(threshold, 'g')}, else '{negative}'{moved}"


def describe_cascade(provenance: Mapping[str, Any]) -> str:
    """Return one line on who answers which picture; an empty text for a model that is not a cascade.

    Args:
        provenance: a manifest's `provenance`; free-form, so that nothing in it is relied on.
    """
    cascade = provenance.get("cascade")
    if not isinstance(cascade, Mapping):
        return ""
    mirrored = " upright and mirrored" if _at(cascade, "routing", "mirror") is True else ""
    return (
        f"{_name(_at(cascade, 'fast'))} answers alone from a confidence of "
        f"{_number(_at(cascade, 'routing', 'threshold'), 'g')}; {_name(provenance)} is shown the rest{mirrored} "
        f"({_number(_at(cascade, 'asked', 'test'), '.1%')} of the test images)"
    )


def _at(data: Any, *keys: str) -> Any:  # noqa: ANN401 - free-form JSON of the bundle
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _name(provenance: Any) -> str:  # noqa: ANN401 - likewise
    text = str(_at(provenance, "recipe", "name") or "not stated")
    return text if is_showable(text) else ascii(text)


def _number(value: Any, form: str) -> str:  # noqa: ANN401 - likewise
    return format(value, form) if isinstance(value, int | float) else "not stated"
