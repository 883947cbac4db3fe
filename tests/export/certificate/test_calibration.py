"""Temperature scaling: fitted on validation alone, in every part of a bundle, and no decision changed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from helpers.support import run_torchstone
from torchstone_export.certificate.certify import certify_variant
from torchstone_export.certificate.reference import Reference, SplitReference
from torchstone_export.certificate.temperature import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    calibrate,
    fit_temperature,
    measure,
)
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.engine import Outputs

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def sampled(seed: int, temperature: float, count: int = 4000, classes: int = 7) -> tuple[Float64, Int64]:
    """Return logits and labels that are drawn from softmax(logits / temperature): that is then the right one."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (count, classes)) * temperature
    gumbel = generator.gumbel(size=(count, classes))  # the largest of logits plus Gumbel noise is softmax-distributed
    return logits, np.argmax(logits / temperature + gumbel, axis=1).astype(np.int64)


@given(st.integers(0, 10_000), st.floats(0.1, 20))
def test_the_temperature_that_made_the_labels_is_found_again(seed: int, temperature: float) -> None:
    """Within the error of 4,000 samples."""
    fitted, reason = fit_temperature(*sampled(seed, temperature))
    assert reason == "fitted on validation" or fitted == 1
    assert fitted == pytest.approx(temperature, rel=0.15)


@given(st.integers(0, 10_000), st.floats(0.1, 20), st.integers(3, 200), st.integers(2, 12))
def test_no_other_temperature_has_a_smaller_likelihood_loss(
    seed: int, temperature: float, count: int, classes: int
) -> None:
    """Against SciPy's bounded minimiser, on samples down to three."""
    logits, labels = sampled(seed, temperature, count, classes)
    fitted, _ = fit_temperature(logits, labels)
    found = minimize_scalar(
        lambda exponent: measure(logits, labels, float(np.exp(exponent))).negative_log_likelihood,
        bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)),
        method="bounded",
    )
    if (logits.argmax(axis=1) == labels).all():
        assert fitted == 1
    else:
        # Four digits of the temperature cost next to nothing at a minimum.
        assert measure(logits, labels, fitted).negative_log_likelihood <= found.fun * (1 + 1e-5) + 1e-9


def test_samples_that_are_all_right_leave_the_temperature_at_1() -> None:
    """Their likelihood grows without end as the temperature falls."""
    temperature, reason = fit_temperature(np.eye(5) * 3, np.arange(5))
    assert temperature == 1
    assert "no validation image prefers a wrong class" in reason


def test_labels_that_the_logits_know_nothing_of_stop_at_the_upper_bound() -> None:
    """The larger the temperature the better: the bound ends it."""
    logits = np.tile([[9.0, 0.0]], (10, 1))
    temperature, _ = fit_temperature(logits, np.array([0] * 2 + [1] * 8))
    assert temperature == MAX_TEMPERATURE


def test_nothing_to_gain_leaves_the_temperature_at_1() -> None:
    """Logits that are equal give the same probabilities at every temperature."""
    assert fit_temperature(np.zeros((6, 3)), np.arange(6) % 3)[0] == 1


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e3, 1e38])
def test_absurd_logits_give_a_temperature_within_the_bounds(scale: float) -> None:
    """No overflow and no warning, up to what float32 can hold."""
    generator = np.random.default_rng(0)
    temperature, _ = fit_temperature(generator.normal(size=(50, 4)) * scale, generator.integers(0, 4, 50))
    assert MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE


def test_the_temperature_has_four_digits_and_the_last_bits_of_logits_do_not_change_it() -> None:
    """Two machines round differently; their files must not differ by that."""
    logits, labels = sampled(3, 1.7)
    fitted, _ = fit_temperature(logits, labels)
    noise = 1 + np.random.default_rng(0).normal(0, 1e-7, logits.shape)
    assert fitted == float(f"{fitted:.4g}")
    assert fit_temperature(logits * noise, labels)[0] == fitted


def test_the_figures_are_those_of_scikit_learn() -> None:
    """Log loss and Brier score over several classes."""
    from sklearn.metrics import brier_score_loss, log_loss

    logits, labels = sampled(1, 2.0)
    probabilities = np.exp(logits / 1.5) / np.exp(logits / 1.5).sum(axis=1, keepdims=True)
    figures = measure(logits, labels, 1.5)
    assert figures.negative_log_likelihood == pytest.approx(log_loss(labels, probabilities))
    assert figures.brier_score == pytest.approx(
        brier_score_loss(labels, probabilities, scale_by_half=False, labels=range(7))
    )


def random_part(name: str, temperature: float, seed: int) -> SplitReference:
    """Return a split whose labels fit its logits at a temperature."""
    logits, labels = sampled(seed, temperature, 500, 3)
    images = np.zeros((500, 1, 2, 2), np.uint8)
    split = Split(name, ArrayStore(images), labels, ("a", "b", "c"), [str(index) for index in range(500)])
    return SplitReference(split, logits.astype(np.float32), logits)


def test_only_validation_decides_on_the_temperature() -> None:
    """Another test split changes the figures of test and not the temperature."""
    validation = random_part("validation", 2.0, 0)
    first = calibrate(Reference({"validation": validation, "test": random_part("test", 2.0, 1)}))
    second = calibrate(Reference({"validation": validation, "test": random_part("test", 9.0, 2)}))
    assert first.temperature == second.temperature != 1
    assert first.splits["test"] != second.splits["test"]


def test_a_variant_without_the_temperature_is_refused() -> None:
    """Plain softmax where a temperature was fitted is a fault of the file."""
    part = random_part("test", 2.0, 0)
    reference = Reference({"test": part}, temperature=2.0)

    def plain(images: Uint8Array, batch_size: int) -> Outputs:
        del batch_size
        logits = part.logits[: len(images)]
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return logits, weights / weights.sum(axis=1, keepdims=True)

    def complaints(held_against: Reference) -> list[str]:
        return [failure for failure in certify_variant(held_against, plain).failures if "softmax" in failure]

    (failure,) = complaints(reference)
    assert "not the softmax of the logits, divided by the temperature 2" in failure
    assert complaints(Reference({"test": part})) == []


def read(bundle: Path, name: str) -> dict[str, Any]:
    """Return a JSON file of a bundle."""
    content: dict[str, Any] = json.loads((bundle / name).read_text())
    return content


def test_the_temperature_stands_in_manifest_certificate_card_and_onnx_file(digits_bundle: Path) -> None:
    """One number everywhere, and not 1."""
    temperature = read(digits_bundle, "manifest.json")["temperature"]
    certificate = read(digits_bundle, "certificate.json")["calibration"]
    session = ort.InferenceSession(digits_bundle / "model.onnx", providers=["CPUExecutionProvider"])
    essentials = json.loads(session.get_modelmeta().custom_metadata_map["torchstone"])

    assert temperature == certificate["temperature"] == essentials["temperature"] != 1
    assert f"divided by the temperature {temperature:g}" in (digits_bundle / "README.md").read_text()
    assert set(certificate["splits"]) == {"validation", "test"}
    validation = certificate["splits"]["validation"]
    assert validation["after"]["negative_log_likelihood"] < validation["before"]["negative_log_likelihood"]


def test_what_the_certificate_states_is_what_the_file_gives(digits_bundle: Path) -> None:
    """The figures of `after` on test, from the probabilities of ONNX Runtime."""
    from torchstone_runtime.metrics.calibration import reliability

    split = Dataset(DatasetRef("digits"), Path()).test()
    with Classifier.load(digits_bundle) as classifier:
        found = classifier.predict(split.store.read(np.arange(len(split))))
    stated = read(digits_bundle, "certificate.json")["calibration"]["splits"]["test"]["after"]
    true = found.probabilities[np.arange(len(split)), split.labels]

    assert -np.log(true).mean() == pytest.approx(stated["negative_log_likelihood"], rel=1e-4)
    error = reliability(found.confidences, found.indices == split.labels).error
    assert error == pytest.approx(stated["expected_calibration_error"], abs=1e-4)


def test_no_decision_changes_and_the_logits_stay_undivided(
    digits_run: Path, digits_bundle: Path, tmp_path: Path
) -> None:
    """Against the same run exported with --no-temperature, in ONNX Runtime, over all digits."""
    result = run_torchstone("export", digits_run, "--out", tmp_path / "plain", "--no-temperature")
    split = Dataset(DatasetRef("digits"), Path()).test()
    images = split.store.read(np.arange(len(split)))
    with Classifier.load(tmp_path / "plain") as plain, Classifier.load(digits_bundle) as scaled:
        first, second = plain.predict(images), scaled.predict(images)

    assert result.returncode == 0, result.stderr
    assert read(tmp_path / "plain", "manifest.json")["temperature"] == 1
    assert read(tmp_path / "plain", "certificate.json")["calibration"]["reason"] == "it was switched off"
    np.testing.assert_array_equal(first.logits, second.logits)
    assert not np.allclose(first.probabilities, second.probabilities, atol=1e-3)
    np.testing.assert_array_equal(second.probabilities.argmax(axis=1), first.probabilities.argmax(axis=1))


def test_golden_probabilities_may_move_as_far_as_a_small_temperature_lets_logits_move_them() -> None:
    """At a temperature of 0.1 a logit error within the tolerance moves a probability by more than the tolerance."""
    images = np.zeros((1, 1, 2, 2), np.uint8)
    expected = np.array([[0.0, 0.05]], np.float32)
    found = expected + np.array([[0.01, -0.01]], np.float32)

    def probabilities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        weights = np.exp(logits / np.float32(0.1))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)

    samples = GoldenSamples(images, expected, probabilities(expected))
    assert samples.check(found, probabilities(found), 0.011, temperature=0.1) == pytest.approx(0.01)
    with pytest.raises(CheckFailedError):
        samples.check(found, probabilities(found), 0.011)
