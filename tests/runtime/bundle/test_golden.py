import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.bundle import golden
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.errors import BundleError, CheckFailedError

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(4, 3)).astype(np.float32)
PROBABILITIES = (np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)).astype(np.float32)
SAMPLES = GoldenSamples(GENERATOR.integers(0, 256, (4, 1, 5, 6), dtype=np.uint8), LOGITS, PROBABILITIES)
TOLERANCE = 1e-4


def npz(**arrays: Any) -> bytes:  # noqa: ANN401 - arrays, good and bad
    """Write an npz file with the samples' arrays, unless others are given; None leaves one out."""
    good = {"images": SAMPLES.images, "logits": LOGITS, "probabilities": PROBABILITIES}
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in {**good, **arrays}.items() if array is not None})
    return buffer.getvalue()


def test_round_trip() -> None:
    """What is written is read back, bit for bit."""
    found = GoldenSamples.from_bytes(SAMPLES.to_bytes())
    np.testing.assert_array_equal(found.images, SAMPLES.images)
    np.testing.assert_array_equal(found.logits, LOGITS)
    np.testing.assert_array_equal(found.probabilities, PROBABILITIES)


def test_equal_outputs_have_no_difference() -> None:
    """The largest difference of a logit is returned."""
    assert SAMPLES.check(LOGITS, PROBABILITIES, TOLERANCE) == 0.0
    shifted = LOGITS.copy()
    shifted[2, 1] += np.float32(5e-5)
    assert SAMPLES.check(shifted, PROBABILITIES, TOLERANCE) == pytest.approx(5e-5, rel=0.01)


@pytest.mark.parametrize("value", [2e-4, -2e-4, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("output", ["logits", "probabilities"])
@pytest.mark.parametrize("place", range(12))
def test_a_difference_above_the_tolerance_fails(output: str, value: float, place: int) -> None:
    """One value anywhere, too far off or not finite, in either output."""
    outputs = {"logits": LOGITS.copy(), "probabilities": PROBABILITIES.copy()}
    outputs[output].flat[place] += np.float32(value)
    with pytest.raises(CheckFailedError, match="does not do what it did when it was exported"):
        SAMPLES.check(**outputs, tolerance=TOLERANCE)


def test_a_changed_class_fails_within_any_tolerance() -> None:
    """Decisions count, not only values."""
    with pytest.raises(CheckFailedError, match="change class"):
        SAMPLES.check(LOGITS, PROBABILITIES[:, ::-1].copy(), 1e9)


def test_outputs_of_another_shape_fail() -> None:
    """Fewer classes than expected."""
    with pytest.raises(CheckFailedError, match=r"shape \(4, 2\), expected \(4, 3\)"):
        SAMPLES.check(LOGITS[:, :2], PROBABILITIES[:, :2], TOLERANCE)


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": None},
        {"logits": None},
        {"probabilities": None},
        {"images": SAMPLES.images.astype(np.float32)},
        {"images": SAMPLES.images[:, 0]},
        {"images": SAMPLES.images[:3]},
        {"images": SAMPLES.images[:0], "logits": LOGITS[:0], "probabilities": PROBABILITIES[:0]},
        {"logits": LOGITS.astype("U8")},
        {"probabilities": PROBABILITIES.astype(np.float64)},
        {"logits": np.array([None] * 4)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: dict[str, Any]) -> None:
    """A missing array, another type, shape or length, and pickled objects."""
    with pytest.raises(BundleError, match="golden samples cannot be read"):
        GoldenSamples.from_bytes(npz(**arrays))


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that unpacks to more than the limit is not unpacked."""
    monkeypatch.setattr(golden, "_MAX_BYTES", 1_000_000)
    content = npz(images=np.zeros((4, 1, 600, 600), np.uint8))
    with pytest.raises(BundleError, match="unpack to more than 1,000,000 bytes"):
        GoldenSamples.from_bytes(content)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5))
def test_any_damage_gives_samples_or_a_bundle_error(changes: list[tuple[int, int]]) -> None:
    """Bytes changed anywhere never raise anything else."""
    content = bytearray(SAMPLES.to_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    with contextlib.suppress(BundleError):
        assert len(GoldenSamples.from_bytes(bytes(content)).images)
