"""Robustness: every corruption at every severity, by the decisions that the classifier makes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from torchstone_runtime.corruption import CORRUPTIONS, SEVERITIES, corrupt
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import UsageError
from torchstone_runtime.evaluation import robustness as module
from torchstone_runtime.evaluation.evaluate import evaluate
from torchstone_runtime.evaluation.robustness import Robustness, measure_robustness
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.metrics.summary_metrics import LEVELS, SummaryMetrics


@pytest.fixture(scope="module")
def part(digits: Split) -> Split:
    """300 digits."""
    return digits.select(np.arange(300), "test")


@pytest.fixture(scope="module")
def found(classifier: Classifier, part: Split) -> Robustness:
    """The model under everything."""
    return measure_robustness(classifier, part, seed=3)


def test_the_clean_figures_are_those_of_an_evaluation(classifier: Classifier, part: Split, found: Robustness) -> None:
    """Accuracy, calibration error and abstention are `evaluate`'s."""
    seen = evaluate(classifier, part)

    assert found.clean.accuracy == seen.metrics.accuracy
    assert found.clean == SummaryMetrics.of(seen.confidence, seen.right())


def test_a_setting_is_what_the_corrupted_pictures_give(classifier: Classifier, part: Split, found: Robustness) -> None:
    """Corrupted all at once and classified all at once, the accuracy is the same."""
    images = part.store.read(np.arange(len(part)))
    for name in CORRUPTIONS:
        right = classifier.predict(corrupt(images, name, 4, seed=3)).indices == part.labels
        assert found.settings[name, 4].accuracy == right.mean()


def test_the_batches_do_not_matter(
    classifier: Classifier, part: Split, found: Robustness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches of 64, the last of them ragged, the same images are corrupted in the same way."""
    monkeypatch.setattr(module, "_BATCH", 1)
    monkeypatch.setattr(module, "_FEWEST", 64)
    again = measure_robustness(classifier, part, ["gaussian-noise", "shift"], [5], seed=3)

    assert again.settings == {key: found.settings[key] for key in again.settings}


def test_the_mean_counts_every_setting_alike(found: Robustness) -> None:
    """Over all, by corruption and by severity."""
    accuracies = {key: item.accuracy for key, item in found.settings.items()}

    assert len(accuracies) == len(CORRUPTIONS) * len(SEVERITIES)
    assert found.corrupted.accuracy == pytest.approx(np.mean(list(accuracies.values())))
    assert found.by_corruption("shift").accuracy == pytest.approx(
        np.mean([accuracies["shift", level] for level in SEVERITIES])
    )
    assert found.by_severity(2).accuracy == pytest.approx(np.mean([accuracies[name, 2] for name in CORRUPTIONS]))
    assert found.by_severity(5).accuracy < found.by_severity(1).accuracy <= found.clean.accuracy


def test_its_json_is_read_back(found: Robustness) -> None:
    """Through text, with every figure."""
    again = Robustness.from_json(json.loads(json.dumps(found.to_json())))

    assert (again.seed, again.clean, again.settings) == (found.seed, found.clean, found.settings)
    assert again.to_json() == found.to_json()


def test_what_is_not_there_is_refused_before_anything_is_measured(classifier: Classifier, part: Split) -> None:
    """Also where it is the last of several."""

    def count(images: int) -> None:
        raise AssertionError(images)

    with pytest.raises(UsageError, match="no corruption 'fog'"):
        measure_robustness(classifier, part, ["shift", "fog"], on_images=count)
    with pytest.raises(UsageError, match="no severity 0"):
        measure_robustness(classifier, part, ["shift"], [1, 0], on_images=count)


@given(
    npst.arrays(np.float32, st.integers(1, 60), elements=st.floats(0.125, 1, width=32)),
    st.randoms(use_true_random=False),
)
def test_abstaining_is_what_counting_gives(confidence: np.ndarray, random: object) -> None:
    """Accuracy at a coverage, and coverage at an accuracy, over every threshold that there is."""
    right = np.array([random.random() < 0.8 for _ in confidence])  # type: ignore[attr-defined]
    behaviour = SummaryMetrics.of(confidence, right)
    answered = [confidence >= threshold for threshold in np.unique(confidence)]
    for level in LEVELS:
        enough = [rows for rows in answered if rows.mean() >= level]
        smallest = min(enough, key=lambda rows: rows.sum())
        assert behaviour.accuracy_at[level] == pytest.approx(right[smallest].mean())
        good = [rows.mean() for rows in answered if right[rows].sum() >= level * rows.sum()]
        assert behaviour.coverage_at[level] == pytest.approx(max(good, default=0))


def test_the_mean_of_behaviours_is_the_mean_of_each_figure() -> None:
    """Of two, half the sum."""
    one = SummaryMetrics(0.5, 0.1, {0.95: 0.6, 0.99: 0.5}, {0.95: 0.2, 0.99: 0.0})
    other = SummaryMetrics(1.0, 0.3, {0.95: 1.0, 0.99: 1.0}, {0.95: 1.0, 0.99: 0.5})
    mean = SummaryMetrics.mean([one, other])

    assert list(mean.figures().values()) == pytest.approx([0.75, 0.2, 0.8, 0.75, 0.6, 0.25])
    assert SummaryMetrics.from_json(mean.to_json()) == mean


def test_a_large_picture_is_read_in_small_batches(tmp_path: Path) -> None:
    """Of 1,000 x 1,000 pixels, 64 at a time, whatever the number of images."""
    del tmp_path
    assert module._batch_size(_Wide()) == 64  # type: ignore[arg-type]


class _Wide:
    image_shape = (3, 1000, 1000)
