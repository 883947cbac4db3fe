"""Real files with real faults in them, run by ONNX Runtime: the certificate refuses every one and says why."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.faults import MODEL_FAULTS, one_weight, other_checkpoint
from helpers.file_faults import FILE_FAULTS
from helpers.file_faults import one_weight as one_weight_of_the_file
from torchstone_export.certificate.certify import certify_variant
from torchstone_export.certificate.error_limits import EXPORT_LIMITS
from torchstone_export.certificate.reference import Reference, make_reference, run_module
from torchstone_export.certificate.runners import certify_files
from torchstone_export.certificate.split_figures import margins
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.formats.torchscript_file import export_torchscript
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.engine import Outputs
from torchstone_train.networks.image_classifier import ImageClassifier

SPEC = InputSpec(color="RGB", height=14, width=14, mean=(0.5, 0.4, 0.3), std=(0.5, 0.4, 0.3))
CLASSES = tuple("0123456789")
MENDED = {"batch norm left in training mode"}
"""Both of PyTorch's exporters fold batch norm into the convolution before it: the files are right."""


@dataclass(frozen=True)
class Trained:
    """A small model with a place for every fault, an epoch of it before the last, and its honest file."""

    model: ExportableClassifier
    earlier: dict[str, Tensor]
    reference: Reference
    content: bytes


def digits() -> dict[str, Split]:
    """Train, validation and test images: the digits at half size, each channel with another brightness."""
    whole = load_digits()
    gray = whole.store.read(np.arange(900))[:, :, ::2, ::2]
    colored = np.concatenate([gray, gray // 2, gray // 3], axis=1)
    parts = {"validation": (0, 150), "test": (150, 350), "train": (350, 900)}

    def part(name: str, start: int, stop: int) -> Split:
        ids = [str(index) for index in range(start, stop)]
        return Split(name, ArrayStore(colored[start:stop]), whole.labels[start:stop], CLASSES, ids)

    return {name: part(name, *bounds) for name, bounds in parts.items()}


def make_network() -> nn.Module:
    """Convolutions with batch norm, ReLU, GELU, both poolings, layer norm, dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, stride=2, ceil_mode=True)),
        *(nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12), nn.GELU(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(3)),
        *(nn.Flatten(), nn.Linear(108, 32), nn.LayerNorm(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10)),
    )


@pytest.fixture(scope="module")
def trained() -> Trained:
    """Two short epochs on real digits."""
    splits = digits()
    train = splits.pop("train")
    classifier = ImageClassifier(make_network(), SPEC)
    optimizer = torch.optim.Adam(classifier.parameters(), 3e-3)
    images, labels = torch.from_numpy(np.ascontiguousarray(next(train.batches(550)))), torch.from_numpy(train.labels)
    states = []
    for _ in range(2):
        for start in range(0, 550, 55):
            where = slice(start, start + 55)
            optimizer.zero_grad()
            nn.functional.cross_entropy(classifier(images[where]), labels[where]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        states.append({name: value.clone() for name, value in classifier.network.state_dict().items()})
    model = ExportableClassifier(classifier).eval()
    return Trained(model, states[0], make_reference(model, splits), export_file(model))


def export_file(model: ExportableClassifier) -> bytes:
    """What an export writes."""
    return export_onnx(model, "small", CLASSES, SPEC)


def failures_of(reference: Reference, content: bytes) -> list[str]:
    """What the certificate finds against an ONNX file."""
    return certify_files({"fp32": content}, reference)["fp32"].failures


def test_the_honest_files_pass(trained: Trained) -> None:
    """ONNX and TorchScript of the model that was trained: nothing is found, no decision differs.

    Other neighbours may change the order of sums, and so as much as rounding does, which is about the noise floor.
    """
    contents = {"fp32": trained.content, "torchscript": export_torchscript(trained.model, SPEC)}
    for certificate in certify_files(contents, trained.reference).values():
        assert certificate.failures == []
        assert all(part["flips"] == 0 for part in certificate.splits.values())
        assert certificate.batches["neighbours"] <= 4 * trained.reference.noise_floor


@pytest.mark.parametrize("name", MODEL_FAULTS)
def test_a_fault_in_the_model_is_caught_exactly_if_it_does_something(trained: Trained, name: str) -> None:
    """Both files are made of the faulty model and held against the right one; one of them at least is refused.

    Not both have to be: a Dropout node does nothing in ONNX unless it is told to, so that only TorchScript keeps it
    on. A fault without any effect on this data (ReLU that nothing reaches the cut of) passes.
    """
    fault = MODEL_FAULTS[name]
    faulty = fault(trained.model)
    # PyTorch's exporter to ONNX leaves the module in evaluation mode: each export gets a copy of its own.
    contents = {
        "torchscript": export_torchscript(fault(trained.model), SPEC),
        "fp32": export_file(fault(trained.model)),
    }
    certificates = certify_files(contents, trained.reference)
    assert any(certificate.failures for certificate in certificates.values()) == (
        does_something(trained, faulty) and name not in MENDED
    )


def test_batch_statistics_are_caught_where_they_are_used(trained: Trained) -> None:
    """Run as it is, a model whose batch norm was left in training mode fails, also for its neighbours' sake."""
    failures = failures_of_module(trained, MODEL_FAULTS["batch norm left in training mode"](trained.model))
    assert any("depend on the other images of its batch" in failure for failure in failures)


def failures_of_module(trained: Trained, module: ExportableClassifier) -> list[str]:
    """What the certificate finds against a PyTorch module, in place of a file."""

    def run(images: Uint8Array, size: int) -> Outputs:
        parts = [run_module(module, images[start : start + size]) for start in range(0, len(images), size)]
        return np.concatenate([logits for logits, _ in parts]), np.concatenate([rows for _, rows in parts])

    return certify_variant(trained.reference, run).failures


def does_something(trained: Trained, faulty: ExportableClassifier) -> bool:
    """Whether a fault changes outputs, in exact arithmetic, by more than the noise of float32."""
    for part in trained.reference.splits.values():
        images = next(part.split.batches(len(part.split)))
        logits, probabilities = run_module(deepcopy(faulty).double(), images)
        right = run_module(deepcopy(trained.model).double(), images)
        if (
            np.abs(logits - right[0]).max() > trained.reference.noise_floor
            or np.abs(probabilities - right[1]).max() > 1e-5
        ):
            return True
    return False


def test_an_older_checkpoint_is_caught(trained: Trained) -> None:
    """The weights of the epoch before."""
    assert failures_of(trained.reference, export_file(other_checkpoint(trained.model, trained.earlier)))


@pytest.mark.parametrize("name", FILE_FAULTS)
def test_a_fault_in_the_file_is_caught(trained: Trained, name: str) -> None:
    """Put into the right file itself."""
    assert failures_of(trained.reference, FILE_FAULTS[name](trained.content))


@pytest.mark.parametrize("seed", range(4))
def test_a_growing_change_of_a_weight_is_caught_when_it_matters(trained: Trained, seed: int) -> None:
    """Never once it flips a settled decision or is beyond twice the limits; not while it is far below the floor."""
    limits, floor = EXPORT_LIMITS, trained.reference.noise_floor
    caught = []
    for amount in (1e-9, 1e-5, 1e-3, 1e-1, 3.0):
        changed = one_weight(trained.model, amount, seed)
        effect = make_reference(changed, {name: part.split for name, part in trained.reference.splits.items()})
        pairs = [(effect.splits[name].exact, part.exact) for name, part in trained.reference.splits.items()]
        size = max(float(np.abs(wrong - right).max()) for wrong, right in pairs) / floor
        flips = any(
            bool(((wrong.argmax(1) != right.argmax(1)) & (margins(right) > 2 * floor)).any()) for wrong, right in pairs
        )
        found = bool(failures_of_module(trained, changed))
        assert found or not (flips or size > 2 * limits.max_multiple), (amount, size)
        assert not found or flips or size > 0.5, (amount, size)
        caught.append(found)
    assert caught == sorted(caught)


def test_a_change_of_a_weight_in_the_file_is_caught(trained: Trained) -> None:
    """From large to small, each as long as it shows."""
    assert failures_of(trained.reference, one_weight_of_the_file(trained.content, 1.0))
    assert not failures_of(trained.reference, one_weight_of_the_file(trained.content, 1e-9))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("batch declared as 2", "the input 'images' is declared with a batch of 2 and no other"),
        ("batch of 2 baked into a Reshape", "to the constant shape [2, 10]"),
        ("logits mixed with the batch's mean", "depend on the other images of its batch"),
        ("logits depend on the place in the batch", "depend on its place in the batch"),
        ("softmax dropped", "the probabilities are not the softmax of the logits"),
    ],
)
def test_the_failure_names_the_fault(trained: Trained, name: str, words: str) -> None:
    """A person learns what is wrong, not only that something is."""
    assert any(words in failure for failure in failures_of(trained.reference, FILE_FAULTS[name](trained.content)))
