"""Where a bundle's model comes from, told to people. Standard library only: `inspect` stays light."""

from collections.abc import Mapping
from typing import Any

from torchstone_runtime.text import is_showable


def describe_origin(provenance: Mapping[str, Any]) -> str:
    """Return one line on a model that Torchstone did not train; an empty text for one that it did.

    Args:
        provenance: of a manifest; free-form, so that nothing in it is relied on.
    """
    origin = provenance.get("origin")
    if not isinstance(origin, Mapping):
        return ""

    def shown(key: str) -> str:
        text = str(origin.get(key) or "not stated")
        return text if is_showable(text) else ascii(text)

    if origin.get("kind") == "module":
        return f"the PyTorch module {shown('factory')}, weights sha256 {shown('weights_sha256')[:16]}…"
    return f"an ONNX file made by {shown('producer')}, sha256 {shown('onnx_sha256')[:16]}…; no PyTorch reference"
