"""Networks that normalise each picture by its own mean and deviation: honest files pass, wrong ones are refused."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchstone_export.certificate.reference import Reference, make_reference
from torchstone_export.certificate.runners import certify_files
from torchstone_export.foreign.module_reference import make_module_reference
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.image_classifier import ImageClassifier

NAMES = tuple("abcde")
SIDES = (28, 128)


class ByDeviation(nn.Module):
    """Every picture less its mean, divided by its deviation."""

    def __init__(self, epsilon: float = 1e-6, correction: int = 1, dims: tuple[int, ...] = (1, 2, 3)) -> None:
        super().__init__()
        self.epsilon, self.correction, self.dims = epsilon, correction, dims

    def forward(self, x: Tensor) -> Tensor:
        """Return pictures of the same shape."""
        deviation = x.std(self.dims, correction=self.correction, keepdim=True)
        return (x - x.mean(self.dims, keepdim=True)) / (deviation + self.epsilon)


class ByMoments(nn.Module):
    """The variance as the mean of squares less the square of the mean."""

    def forward(self, x: Tensor) -> Tensor:
        """Return pictures of the same shape."""
        mean, squares = x.mean((1, 2, 3), keepdim=True), (x * x).mean((1, 2, 3), keepdim=True)
        return (x - mean) * torch.rsqrt(squares - mean * mean + 1e-5)


class ByLength(nn.Module):
    """Divided by the Euclidean length."""

    def forward(self, x: Tensor) -> Tensor:
        """Return pictures of the same shape."""
        return nn.functional.normalize(x.flatten(1)).view_as(x) * 100


class InFunctions(nn.Module):
    """What `ByDeviation` computes, by other operators in functions of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """Return pictures of the same shape."""
        centred = x - _average(x)
        return centred * torch.exp(-0.5 * torch.log(_average(centred * centred) + 1e-6))


def _average(x: Tensor) -> Tensor:
    return torch.sum(x, (1, 2, 3), keepdim=True).div(x[0].numel())


def model_of(norm: nn.Module, side: int, scale: float = 1.0) -> ExportableClassifier:
    """A small network on normalised pictures, with the same weights every time."""
    torch.manual_seed(0)
    spec = spec_of(side)
    convolution = nn.Conv2d(3, 8, 5, stride=side // 14, padding=2)
    pooled = (nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, len(NAMES)))
    network = nn.Sequential(Times(scale), norm, convolution, *pooled)
    return ExportableClassifier(ImageClassifier(network, spec)).eval()


class Times(nn.Module):
    """Pixels of another scale."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return pictures of the same shape."""
        return x * self.factor


def spec_of(side: int) -> InputSpec:
    """Pixels from 0 to 1, less 0.45, divided by 0.22."""
    return InputSpec(color="RGB", height=side, width=side, mean=(0.45,) * 3, std=(0.22,) * 3)


@cache
def pictures(side: int) -> Split:
    """Bright spots on noise, 60 of them."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:side, :side] / side
    centres = rng.random((60, 3, 2, 1, 1))
    spots = np.exp(-8 * ((rows - centres[:, :, 0]) ** 2 + (columns - centres[:, :, 1]) ** 2))
    pixels = (200 * spots + rng.integers(0, 40, (60, 3, side, side))).astype(np.uint8)
    labels = rng.integers(0, len(NAMES), 60)
    return Split("test", ArrayStore(pixels), labels, NAMES, [str(index) for index in range(60)])


def reference_of(right: ExportableClassifier, side: int) -> Reference:
    """Return what a certificate of a model holds a file against."""
    return make_reference(right, {"test": pictures(side)})


@cache
def by_deviation(side: int) -> Reference:
    """Return that of `ByDeviation`, which most files are held against."""
    return reference_of(model_of(ByDeviation(), side), side)


def failures(reference: Reference, exported: ExportableClassifier, side: int) -> list[str]:
    """Return what a certificate finds against the ONNX file of `exported`."""
    content = export_onnx(exported, "normalised", NAMES, spec_of(side))
    return certify_files({"fp32": content}, reference)["fp32"].failures


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "norm",
    [ByDeviation(), ByMoments(), ByLength(), InFunctions(), nn.InstanceNorm2d(3), nn.GroupNorm(1, 3)],
    ids=lambda norm: type(norm).__name__,
)
def test_an_honest_file_passes_whoever_wrote_the_normalisation(norm: nn.Module, side: int) -> None:
    """With PyTorch's own summation as the only measure, most of them would not."""
    model = model_of(norm, side)
    reference = reference_of(model, side)
    assert failures(reference, model, side) == []
    assert reference.longest_sum >= side * side


@pytest.mark.parametrize("norm", [ByDeviation(), ByMoments()], ids=lambda norm: type(norm).__name__)
def test_a_module_of_another_origin_is_held_to_the_same(norm: nn.Module) -> None:
    """Its float64 reference is made in another way, its sums in a row are not."""
    model = model_of(norm, 128)
    found, other = (make(model, {"test": pictures(128)}) for make in (make_reference, make_module_reference))
    assert other.noise_floor == pytest.approx(found.noise_floor, rel=0.2)
    assert other.longest_sum == found.longest_sum


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_the_pixels_does_not_matter(scale: float) -> None:
    """From a thousandth of the usual one to a thousand times it."""
    model = model_of(ByDeviation(), 128, scale)
    assert failures(reference_of(model, 128), model, 128) == []


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "wrong",
    [ByDeviation(epsilon=1e-3), ByDeviation(dims=(2, 3)), nn.Identity(), ByDeviation(epsilon=1e-3, correction=0)],
    ids=["epsilon", "axes", "left out", "epsilon and correction"],
)
def test_another_normalisation_is_refused(wrong: nn.Module, side: int) -> None:
    """However long the sums are."""
    assert failures(by_deviation(side), model_of(wrong, side), side)


def test_a_deviation_of_n_in_place_of_n_minus_1_is_refused() -> None:
    """It changes pictures of 28 x 28 pixels by a five-thousandth, hundreds of roundings."""
    assert failures(by_deviation(28), model_of(ByDeviation(correction=0), 28), 28)


@pytest.mark.parametrize("side", SIDES)
def test_weights_in_half_precision_are_refused(side: int) -> None:
    """Every weight is off by up to a two-thousandth."""
    wrong = model_of(ByDeviation(), side)
    wrong.classifier.network.half().float()
    assert failures(by_deviation(side), wrong, side)


def test_the_noise_floor_is_the_same_however_the_sums_are_asked_for() -> None:
    """By torch.std, by torch.sum and a logarithm in functions, by group norm."""
    floors = [make_reference(model_of(norm, 128), {"test": pictures(128)}).noise_floor for norm in _SAME]
    assert max(floors) < 1.5 * min(floors)


_SAME = (ByDeviation(correction=0), InFunctions(), nn.GroupNorm(1, 3, eps=1e-6))
