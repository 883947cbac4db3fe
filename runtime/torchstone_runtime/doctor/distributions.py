"""Installed packages, by their metadata alone: nothing is imported."""

import base64
import csv
import hashlib
import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_RUNTIME_WHEELS: Final = frozenset(
    {
        *("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-qnn"),
        *("onnxruntime-rocm", "onnxruntime-migraphx", "onnxruntime-training", "onnxruntime-cann", "ort-nightly"),
        *("ort-nightly-gpu", "onnxruntime-silicon", "onnxruntime-vitisai", "onnxruntime-windowsml"),
    }
)
"""Packages that all write to the folder `onnxruntime`; others of that name, such as the extensions, do not."""

_CHECKED: Final = re.compile(r"onnxruntime/(__init__\.py|capi/[^/]+\.(py|so[.\d]*))")


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed package.

    Attributes:
        name: normalised name: lower case, with hyphens.
        version: version that its metadata states.
        distribution: its metadata.
    """

    name: str
    version: str
    distribution: importlib.metadata.Distribution


def installed_packages() -> dict[str, Installed]:
    """Return every installed package by normalised name; of two copies the one that Python would import."""
    found: dict[str, Installed] = {}
    for distribution in importlib.metadata.distributions():
        metadata = distribution.metadata
        # What an interrupted installation leaves behind has neither name nor version.
        if "Name" in metadata and "Version" in metadata:
            key = re.sub(r"[-_.]+", "-", metadata["Name"]).lower()
            found.setdefault(key, Installed(key, metadata["Version"], distribution))
    return found


def runtime_wheels(packages: dict[str, Installed]) -> list[Installed]:
    """Return those of the packages that are an ONNX Runtime."""
    return [packages[name] for name in sorted(_RUNTIME_WHEELS & packages.keys())]


def package_folder(wheel: Installed) -> Path:
    """Return the folder that a package was installed into."""
    return Path(str(wheel.distribution.locate_file(""))).resolve()


def altered_files(wheel: Installed) -> list[str]:
    """Return the ONNX Runtime files of a wheel that are missing, or not those that its RECORD states by SHA-256.

    A package without a RECORD (conda's, an editable one) has nothing to compare with.
    """
    # `distribution.files` says nothing of missing files from Python 3.12 on.
    record = csv.reader((wheel.distribution.read_text("RECORD") or "").splitlines())
    stated = {row[0]: row[1].removeprefix("sha256=") for row in record if len(row) > 1 and row[1].startswith("sha256=")}
    return [
        name
        for name, digest in stated.items()
        if _CHECKED.fullmatch(name) and _sha256(Path(str(wheel.distribution.locate_file(name)))) != digest
    ]


def _sha256(path: Path) -> str | None:
    """Return a file's SHA-256 as RECORD writes it, or None where it cannot be read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
