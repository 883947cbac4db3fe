from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.data.split import Split
from torchstone_runtime.engine import Engine, Float32Array
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images import Uint8Array
from torchstone_runtime.providers import open_session

COUNT = 48


@pytest.fixture(scope="module")
def session(digits_bundle: Path) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    """A real session of the digits model."""
    return open_session((digits_bundle / "model.onnx").read_bytes(), "cpu").session


@pytest.fixture(scope="module")
def images(digits: Split) -> Uint8Array:
    """Some real digits."""
    return digits.store.read(np.arange(COUNT))


@pytest.fixture(scope="module")
def one_by_one(session: Any, images: Uint8Array) -> Float32Array:  # noqa: ANN401 - see session
    """The logits of each image in a call of its own, made without the engine."""
    return np.concatenate([session.run(["logits"], {"images": images[i : i + 1]})[0] for i in range(COUNT)])


@pytest.fixture(scope="module")
def engines(session: Any) -> Iterator[dict[int, Engine]]:  # noqa: ANN401 - see session
    """An engine for one worker and one for three."""
    made = {workers: Engine(session, num_classes=10, workers=workers, tile=64) for workers in (1, 3)}
    yield made
    for engine in made.values():
        engine.close()


@settings(deadline=None, max_examples=60)
@given(count=st.integers(0, COUNT), tile=st.integers(1, COUNT + 2), workers=st.sampled_from([1, 3]))
def test_every_image_gets_its_own_row_wherever_tiles_end(
    engines: dict[int, Engine],
    images: Uint8Array,
    one_by_one: Float32Array,
    count: int,
    tile: int,
    workers: int,
) -> None:
    """Any number of images in tiles of any size: row i is what image i gives alone, and no row is left unset."""
    engine = engines[workers]
    engine.tile = tile
    logits, probabilities = engine.run(images[:count])
    assert logits.shape == probabilities.shape == (count, 10)
    assert logits.dtype == probabilities.dtype == np.float32
    np.testing.assert_allclose(logits, one_by_one[:count], atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(axis=1), np.ones(count), atol=1e-5)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_in_a_tile_is_raised(engines: dict[int, Engine], images: Uint8Array, workers: int) -> None:
    """Images that the model cannot take are no silent gap in the outputs."""
    engine = engines[workers]
    engine.tile = 5
    with pytest.raises(Exception, match=r"(?i)invalid dimensions"):
        engine.run(images[:, :, :20])
    engine.run(images)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_closed_engine_says_so(session: Any, images: Uint8Array, workers: int) -> None:  # noqa: ANN401 - see session
    """Running it afterwards is an error with a message."""
    engine = Engine(session, num_classes=10, workers=workers, tile=5)
    engine.close()
    with pytest.raises(UsageError, match="is closed"):
        engine.run(images)
