"""Log loss, Brier score and top-k accuracy are scikit-learn's, with intervals that hold what they claim."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from torchstone_runtime.arrays import Float32Array
from torchstone_runtime.metrics.probability_scores import ProbabilityScores, ScoreTally, ranks


def softmax(logits: Float32Array) -> Float32Array:
    """Return probabilities, float32 [N, K]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Float32Array = (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def score(logits: Float32Array, labels: list[int], batch: int = 7) -> ProbabilityScores:
    """Score samples, a few at a time."""
    tally, true = ScoreTally(len(labels)), np.array(labels, dtype=np.int64)
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        tally.add(logits[part], softmax(logits[part]), true[part])
    return tally.scores()


@st.composite
def scored(draw: st.DrawFn) -> tuple[Float32Array, list[int]]:
    """Draw logits and labels."""
    classes, count = draw(st.integers(3, 7)), draw(st.integers(2, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    logits = np.random.default_rng(seed).normal(0, draw(st.floats(0.1, 12)), (count, classes)).astype(np.float32)
    return logits, draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))


@settings(deadline=None, max_examples=60)
@given(scored())
@example((np.array([[1.1945176, 19.436195, -6.173809], [-12.409131, 6.752168, -6.2288575]], np.float32), [1, 1]))
def test_the_log_loss_is_that_of_scikit_learn(case: tuple[Float32Array, list[int]]) -> None:
    """A batch at a time, very small probabilities clipped alike."""
    logits, labels = case
    expected = sk.log_loss(labels, softmax(logits), labels=range(logits.shape[1]))
    # Probabilities are float32: one of nearly 1, and so its logarithm, is known to 6e-8.
    assert score(logits, labels).log_loss.value == pytest.approx(expected, rel=1e-5, abs=5e-7)


@settings(deadline=None, max_examples=60)
@given(scored())
def test_the_brier_score_is_that_of_scikit_learn(case: tuple[Float32Array, list[int]]) -> None:
    """The sum over the classes, not its half."""
    logits, labels = case
    expected = sk.brier_score_loss(labels, softmax(logits), labels=range(logits.shape[1]), scale_by_half=False)
    assert score(logits, labels).brier.value == pytest.approx(expected, rel=1e-5, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(scored())
def test_top_k_is_that_of_scikit_learn(case: tuple[Float32Array, list[int]]) -> None:
    """For every k below the number of classes."""
    logits, labels = case
    found = score(logits, labels).top_k
    assert list(found) == [k for k in (2, 3, 5) if k < logits.shape[1]]
    for k, item in found.items():
        expected = sk.top_k_accuracy_score(labels, logits, k=k, labels=range(logits.shape[1]))
        assert item.value == pytest.approx(expected)


def test_of_equal_logits_the_first_class_ranks_first() -> None:
    """As argmax decides, so that rank 0 and a right prediction are the same."""
    logits = np.array([[1, 2, 2]] * 3, dtype=np.float32)
    assert ranks(logits, np.array([0, 1, 2])).tolist() == [2, 0, 1]


def test_the_interval_of_the_log_loss_covers_the_truth() -> None:
    """Of 400 draws of 200 samples, between 94% and 99.5% of the 95% intervals hold the mean over a large population."""
    generator = np.random.default_rng(5)
    logits = generator.normal(0, 2, (40_000, 4)).astype(np.float32)
    labels = generator.integers(0, 4, 40_000)
    truth = score(logits, labels.tolist(), 5000).log_loss.value
    hits = 0
    for _ in range(400):
        chosen = generator.integers(0, len(labels), 200)
        low, high = score(logits[chosen], labels[chosen].tolist(), 200).log_loss.interval or (1.0, 0.0)
        hits += low <= truth <= high
    assert 0.94 * 400 <= hits <= 0.995 * 400


def test_a_single_sample_excludes_little() -> None:
    """The next one may have the largest log loss that there is, 15.9."""
    low, high = score(np.zeros((1, 3), np.float32), [0]).log_loss.interval or (1.0, 0.0)
    assert low < np.log(3) / 10
    assert high > 15
