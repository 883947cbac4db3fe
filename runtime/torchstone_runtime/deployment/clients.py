"""Short clients of `torchstone serve` in several languages, each with a golden picture and its expected answer."""

import json
import re
import shlex
from collections.abc import Callable
from importlib.resources import files
from typing import Final
from urllib.parse import urlencode

from torchstone_runtime.deployment.packaged_model import PackagedModel
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.images.geometry import before_fitting

PICTURE: Final = "golden.png"


def _in_c(text: str) -> str:
    """Quote for C++: bytes beyond ASCII in octal, which ends after three digits whatever follows."""
    octal = (f"\\{byte:03o}" if byte in b'"\\?' or not 32 <= byte < 127 else chr(byte) for byte in text.encode())  # noqa: PLR2004 - printable ASCII
    return f'"{"".join(octal)}"'


def _as_utf8(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _as_ascii(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)


_QUOTE: Final[dict[str, Callable[[str], str]]] = {
    "client.sh": shlex.quote,
    "client.py": repr,
    "client.mjs": _as_utf8,
    "Client.java": _as_ascii,  # javac reads sources in the locale's encoding
    "Client.cs": _as_ascii,
    "client.go": _as_utf8,  # Go has no pairs of surrogates
    "client.cpp": _in_c,
}
"""The clients, and how each language writes a string."""


def client_files(model: PackagedModel, url: str, served: str | None = None) -> dict[str, bytes]:
    """Return the clients and the picture that they send: of the golden ones that of which the model is most confident.

    Args:
        model: the model, whose golden samples say what to expect.
        url: address of the server.
        served: name of the model there; None for the server's first.
    """
    surest = int(model.golden.probabilities.max(axis=1).argmax())
    label = model.bundle.manifest.class_names[int(model.golden.probabilities[surest].argmax())]
    address = f"{url}/predict" + (f"?{urlencode({'model': served})}" if served is not None else "")
    values = {"URL": address, "LABEL": label, "JSON_LABEL": _as_utf8(label)[1:-1]}
    picture = before_fitting(model.golden.images[surest], model.bundle.manifest.input_spec)
    clients = {name: _filled(name, values, quote).encode() for name, quote in _QUOTE.items()}
    return {**clients, PICTURE: encode_png(picture)}


def _filled(name: str, values: dict[str, str], quote: Callable[[str], str]) -> str:
    template = (files("torchstone_runtime.deployment") / "client_templates" / f"{name}.in").read_text("utf-8")
    return re.sub("@([A-Z_]+)@", lambda found: quote(values[found[1]]), template)
