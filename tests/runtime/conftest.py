"""Fixtures of the runtime's tests: input specifications, the digits, and a loaded bundle."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from torchstone_runtime.classifier import Classifier
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.data.split import Split
from torchstone_runtime.input_spec import InputSpec

EditManifest = Callable[[Path, Callable[[dict[str, Any]], object]], None]


@pytest.fixture(scope="session")
def gray() -> InputSpec:
    """One channel of 12 rows and 10 columns."""
    return InputSpec(color="L", height=12, width=10, mean=(0.5,), std=(0.5,))


@pytest.fixture(scope="session")
def rgb() -> InputSpec:
    """Three channels of 12 rows and 10 columns."""
    return InputSpec(color="RGB", height=12, width=10, mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.fixture(scope="session")
def digits() -> Split:
    """All embedded digits."""
    return load_digits()


@pytest.fixture(scope="session")
def classifier(digits_bundle: Path) -> Iterator[Classifier]:
    """The digits bundle, loaded for two threads."""
    with Classifier.load(digits_bundle, provider="cpu", threads=2) as loaded:
        yield loaded


@pytest.fixture
def edit_manifest() -> EditManifest:
    """Change a bundle's manifest in place, with the sizes and hashes of its files brought up to date."""

    def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
        path = bundle / "manifest.json"
        data = json.loads(path.read_text())
        for entry in (*data["variants"].values(), *data["files"].values()):
            content = (bundle / entry["file"]).read_bytes()
            entry |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        change(data)
        path.write_text(json.dumps(data))

    return edit
