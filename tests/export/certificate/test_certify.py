"""The certificate passes what is right and names what is wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from torchstone_export.certificate.batch_checks import BATCH_SIZES
from torchstone_export.certificate.certify import VariantCertificate, certify_variant
from torchstone_export.certificate.error_limits import EXPORT_LIMITS
from torchstone_export.certificate.reference import Reference, make_reference, run_module
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.engine import Outputs
from torchstone_train.networks.image_classifier import ImageClassifier

SPEC = InputSpec(color="L", height=8, width=8, mean=(0.5,), std=(0.5,))
NAMES = ("a", "b", "c")


def make_model(seed: int = 0) -> ExportableClassifier:
    """A small network with fresh weights."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(288, 3))
    )
    return ExportableClassifier(ImageClassifier(network, SPEC)).eval()


@pytest.fixture(scope="module")
def model() -> ExportableClassifier:
    """The model that is certified."""
    return make_model()


@pytest.fixture(scope="module")
def reference(model: ExportableClassifier) -> Reference:
    """Its outputs over 500 random images in two splits."""
    generator = np.random.default_rng(1)

    def split(name: str, count: int) -> Split:
        images = generator.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
        labels = generator.integers(0, 3, count)
        return Split(name, ArrayStore(images), labels, NAMES, [str(index) for index in range(count)])

    return make_reference(model, {"validation": split("validation", 200), "test": split("test", 300)})


def certify(reference: Reference, function: Callable[[Uint8Array], Outputs]) -> VariantCertificate:
    """Certify a function of a batch, called with at most the batch size asked for."""

    def run(images: Uint8Array, size: int) -> Outputs:
        parts = [function(images[start : start + size]) for start in range(0, len(images), size)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    return certify_variant(reference, run)


def test_the_model_itself_passes(model: ExportableClassifier, reference: Reference) -> None:
    """What computes exactly as the PyTorch model has no failure, no flip, and an error of at most the noise floor."""
    certificate = certify(reference, lambda images: run_module(model, images))

    assert certificate.failures == []
    for part in certificate.splits.values():
        assert part["flips"] == 0
        assert part["error_multiple"] <= 1
        assert sum(part["disagreement_by_class"].values()) == 0


def test_every_sample_of_every_split_is_compared(model: ExportableClassifier, reference: Reference) -> None:
    """A fault in the very last sample of the last split alone is found."""
    last = reference.splits["test"].split.store.array[-1]  # type: ignore[attr-defined]

    def wrong_for_one(images: Uint8Array) -> Outputs:
        logits, probabilities = run_module(model, images)
        logits[(images == last).all(axis=(1, 2, 3))] *= -1
        return logits, probabilities

    certificate = certify(reference, wrong_for_one)
    assert any(failure.startswith("test: ") for failure in certificate.failures)
    assert not any(failure.startswith("validation: ") for failure in certificate.failures)


def _older_weights(images: Uint8Array) -> Outputs:
    return run_module(make_model(seed=5), images)


def _with_network(change: Callable[[nn.Sequential], None]) -> Callable[[Uint8Array], Outputs]:
    altered = make_model()
    change(altered.classifier.network)  # type: ignore[arg-type]
    return lambda images: run_module(altered, images)


def _with_offset(amount: float) -> Callable[[Uint8Array], Outputs]:
    altered = make_model()
    altered.classifier.offset += amount
    return lambda images: run_module(altered, images)


def _with_outputs(change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Callable[[Uint8Array], Outputs]:
    def run(images: Uint8Array) -> Outputs:
        logits, probabilities = run_module(make_model(), images)
        return change(logits), change(probabilities)

    return run


def _set_epsilon(network: nn.Sequential) -> None:
    network[1].eps = 1e-3  # type: ignore[assignment]


def _scale_a_weight(network: nn.Sequential) -> None:
    with torch.no_grad():
        network[-1].weight[0, 0] += 0.01  # type: ignore[index,operator]


def _one_layer_in_half(network: nn.Sequential) -> None:
    network[0].weight.data = network[0].weight.data.half().float()


def _dropout_left_on(network: nn.Sequential) -> None:
    network[4].train()


FAULTS: dict[str, Callable[[Uint8Array], Outputs]] = {
    "another checkpoint": _older_weights,
    "batch-norm epsilon": _with_network(_set_epsilon),
    "one weight changed by 0.01": _with_network(_scale_a_weight),
    "a layer in half precision": _with_network(_one_layer_in_half),
    "dropout left on": _with_network(_dropout_left_on),
    "a mean that is wrong by 1/255": _with_offset(2 / 255),
    "transposed images": lambda images: run_module(make_model(), np.swapaxes(images, 2, 3)),
    "inverted images": lambda images: run_module(make_model(), 255 - images),
    "classes in another order": _with_outputs(lambda x: x[:, ::-1]),
    "softmax left out": lambda images: (run_module(make_model(), images)[0],) * 2,
    "not a number": _with_outputs(lambda x: x * np.float32("nan")),
    "float64 outputs": _with_outputs(lambda x: x.astype(np.float64)),
    "one class too few": _with_outputs(lambda x: x[:, :2]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(reference: Reference, fault: str) -> None:
    """Each fault leaves at least one failure."""
    assert certify(reference, FAULTS[fault]).failures


def test_a_flip_is_listed_with_id_classes_and_margins(reference: Reference) -> None:
    """A changed decision is recorded with what a person needs to look at it."""
    certificate = certify(reference, FAULTS["classes in another order"])
    flip = certificate.splits["test"]["flipped"][0]

    assert set(flip) == {"id", "true", "pytorch", "variant", "pytorch_margin", "variant_margin", "within_noise"}
    assert flip["pytorch"] != flip["variant"]
    assert certificate.splits["test"]["flips"] > 0
    assert "decisions differ" in " ".join(certificate.failures)


def test_a_frozen_batch_axis_is_named_by_batch_size(model: ExportableClassifier, reference: Reference) -> None:
    """A file that takes only batches of 64 fails at the other sizes, and the failure names the size."""

    def frozen(images: Uint8Array) -> Outputs:
        if len(images) != 64:
            raise RuntimeError(f"Got invalid dimensions: index 0 Got: {len(images)} Expected: 64")
        return run_module(model, images)

    failures = certify(reference, frozen).failures
    assert all(any(f.startswith(f"batch size {size}:") for f in failures) for size in BATCH_SIZES)


def test_one_logit_may_be_off_by_the_accepted_multiple_and_no_more(
    model: ExportableClassifier, reference: Reference
) -> None:
    """An error of a single logit just within the limit passes, one beyond it doesn't."""
    last = reference.splits["test"].split.store.array[-1]  # type: ignore[attr-defined]

    def spiked(multiple: float) -> Callable[[Uint8Array], Outputs]:
        def run(images: Uint8Array) -> Outputs:
            logits, probabilities = run_module(model, images)
            logits[(images == last).all(axis=(1, 2, 3)), 0] += np.float32(multiple * reference.noise_floor)
            return logits, probabilities

        return run

    assert not certify(reference, spiked(0.5 * EXPORT_LIMITS.max_multiple)).failures
    assert certify(reference, spiked(1.5 * EXPORT_LIMITS.max_multiple)).failures


def test_a_small_error_in_every_logit_is_found_by_its_root_mean_square(
    model: ExportableClassifier, reference: Reference
) -> None:
    """A shift far below the accepted largest error fails where it is many times PyTorch's usual error."""

    def shifted(multiple: float) -> Callable[[Uint8Array], Outputs]:
        shift = np.float32(multiple * reference.rms_floor(reference.splits["test"]))
        return lambda images: (run_module(model, images)[0] + shift, run_module(model, images)[1])

    assert not certify(reference, shifted(0.5 * EXPORT_LIMITS.rms_multiple)).failures
    failures = certify(reference, shifted(2 * EXPORT_LIMITS.rms_multiple)).failures
    assert failures
    assert all("root mean square" in failure for failure in failures)


def test_the_noise_floor_is_the_float32_models_own_error(model: ExportableClassifier, reference: Reference) -> None:
    """It is greater than zero and far below the size of the logits."""
    largest = max(float(np.abs(part.exact).max()) for part in reference.splits.values())

    assert 0 < reference.noise_floor < 1e-4 * largest
    assert next(model.parameters()).dtype == torch.float32
