"""Fixtures of the runtime's tests: input specifications, the digits, and a loaded bundle."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.data.split import Split
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.inference.providers import open_session
from torchstone_runtime.inference.session_io import OrtSession

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


@pytest.fixture(scope="session")
def session(digits_bundle: Path) -> OrtSession:
    """A real session of the digits model."""
    return open_session((digits_bundle / "model.onnx").read_bytes(), ON_CPU).session


@pytest.fixture(scope="session")
def images(digits: Split) -> Uint8Array:
    """48 real digits."""
    return digits.store.read(np.arange(48))


@pytest.fixture(scope="session")
def one_by_one(session: OrtSession, images: Uint8Array) -> Float32Array:
    """The logits of each image in a call of its own."""
    return np.concatenate([session.run(["logits"], {"images": images[i : i + 1]})[0] for i in range(len(images))])


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
