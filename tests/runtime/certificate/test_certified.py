"""What a certificate keeps of a split is enough to find any difference that is no near-tie."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.certificate.record import CertifiedSplit, sketch_logits

NAMES = ("a", "b", "c", "d")
Logits = npt.NDArray[np.float64]


def make_logits(seed: int, samples: int = 300) -> Logits:
    """Random logits of four classes, a few of them close to a tie."""
    random = np.random.default_rng(seed)
    logits: Logits = random.normal(size=(samples, len(NAMES)))
    logits[::50, 1] = logits[::50].max(axis=1) - 1e-4
    return logits


def record(logits: Logits, tolerance: float = 1e-3) -> CertifiedSplit:
    """What is kept of them."""
    ids = [f"image-{index}" for index in range(len(logits))]
    return CertifiedSplit.of(logits, ids, tolerance=tolerance, rms_tolerance=tolerance)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 0.999))
def test_no_error_within_the_tolerance_is_refused(seed: int, share: float) -> None:
    """Whatever an accepted error does to the logits, every decision is one that the record allows."""
    logits = make_logits(seed)
    kept = record(logits)
    noise = np.random.default_rng(seed + 1).choice([-1, 1], logits.shape) * share * kept.tolerance
    decisions = (logits + noise).argmax(axis=1)

    assert kept.settled_agree(decisions)
    assert kept.impossible_ties(decisions) == []


@settings(deadline=None, max_examples=30)
@given(index=st.integers(0, 299), other=st.integers(1, 3))
def test_another_decision_of_a_single_sample_is_found(index: int, other: int) -> None:
    """Any class that an accepted error cannot give a sample is found, near-ties included."""
    logits = make_logits(3)
    kept = record(logits)
    decisions = logits.argmax(axis=1)
    decisions[index] = (decisions[index] + other) % len(NAMES)
    allowed = {tie.index: tie.classes for tie in kept.near_ties}.get(index, ())

    found = not kept.settled_agree(decisions) or bool(kept.impossible_ties(decisions))
    assert found != (int(decisions[index]) in allowed)


def test_near_ties_name_sample_and_candidates_the_certified_class_first() -> None:
    """Two classes less than twice the tolerance apart are a near-tie of exactly those two."""
    logits = np.array([[5.0, 0, 0, 0], [1.0, 1.0005, 0, -3], [0, 0, 1.0, 0.9]])
    kept = record(logits)

    assert [(tie.index, tie.sample_id, tie.classes) for tie in kept.near_ties] == [(1, "image-1", (1, 0))]


def test_the_record_survives_being_written_and_read() -> None:
    """What is read is what was written."""
    kept = record(make_logits(1))
    again = CertifiedSplit.from_json(kept.to_json(NAMES), NAMES)

    assert again.near_ties == kept.near_ties
    assert again.settled_sha256 == kept.settled_sha256
    assert (again.sketch == kept.sketch).all()
    assert (again.samples, again.tolerance, again.rms_tolerance) == (300, kept.tolerance, kept.rms_tolerance)


def _reversed(data: dict[str, Any]) -> None:
    data["near_ties"].reverse()


def _short(data: dict[str, Any]) -> None:
    data["sketch"].pop()


def _beyond(data: dict[str, Any]) -> None:
    data["near_ties"][-1]["index"] = 300


def _unknown(data: dict[str, Any]) -> None:
    data["near_ties"][0]["classes"] = ["nothing"]


@pytest.mark.parametrize("damage", [_reversed, _short, _beyond, _unknown])
def test_a_record_that_is_none_is_refused(damage: Any) -> None:  # noqa: ANN401
    """Near-ties out of order or out of range, unknown classes, and a sketch of another size."""
    data = record(make_logits(1)).to_json(NAMES)
    damage(data)
    with pytest.raises((KeyError, TypeError, ValueError)):
        CertifiedSplit.from_json(data, NAMES)


def test_the_sketch_measures_the_root_mean_square_of_a_difference() -> None:
    """Without the certified logits, within 20% (four sigma are 18%), for errors of very different sizes."""
    logits = make_logits(5)
    kept = record(logits)
    for size in (1e-6, 1e-2, 10.0):
        error = np.random.default_rng(9).normal(scale=size, size=logits.shape)
        estimate = kept.rms_error(sketch_logits(logits + error))
        assert estimate == pytest.approx(np.sqrt((error**2).mean()), rel=0.2)


def test_the_sketch_is_the_same_in_pieces() -> None:
    """The signs don't depend on how the split is cut into batches."""
    from torchstone_runtime.certificate.record import LogitSketch

    logits = make_logits(6)
    sketch = LogitSketch(*logits.shape)
    for start in (0, 7, 64):
        sketch.add(logits[start : {0: 7, 7: 64, 64: 300}[start]])

    assert np.allclose(sketch.result(), sketch_logits(logits), rtol=1e-12, atol=1e-12)
