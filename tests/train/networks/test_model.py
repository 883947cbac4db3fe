import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.architectures import ARCHITECTURES, ModelShape, build_network
from torchstone_train.networks.image_classifier import ImageClassifier, build_classifier

GRAY_28 = InputSpec(color="L", height=28, width=28, mean=(0.5,), std=(0.5,))


@settings(max_examples=30)
@given(st.floats(0, 1), st.floats(0.05, 1), st.integers(0, 2**32 - 1))
def test_normalisation_is_pixel_over_255_minus_mean_over_std(mean: float, std: float, seed: int) -> None:
    """The classifier normalises as torchvision's ToTensor and Normalize would, for every channel."""
    means, stds = (mean, 1 - mean, 0.5), (std, 1.05 - std, 0.25)
    spec = InputSpec(color="RGB", height=4, width=5, mean=means, std=stds)
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 3, 4, 5), dtype=np.uint8)
    expected = (pixels / 255 - np.reshape(means, (3, 1, 1))) / np.reshape(stds, (3, 1, 1))
    normalised = ImageClassifier(nn.Identity(), spec)(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(normalised, expected, atol=1e-5)


def test_normalisation_is_no_part_of_the_weights() -> None:
    """Mean and std are in run.json; the weights file holds the network alone."""
    model = build_classifier("cnn3", GRAY_28, 10)
    assert all(name.startswith("network.") for name in model.state_dict())


def test_cnn3_has_the_documented_parameters() -> None:
    """320 + 18,496 + 73,856 in the convolutions, 1152 * 256 + 256 and 2,570 in the dense layers."""
    model = build_network("cnn3", ModelShape(1, 28, 28, 10))
    assert sum(parameter.numel() for parameter in model.parameters()) == 390_410


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("channels", "height", "width", "classes"), [(1, 28, 28, 10), (3, 32, 48, 2), (3, 65, 31, 7)])
def test_network_gives_a_logit_for_each_class(
    architecture: str, channels: int, height: int, width: int, classes: int
) -> None:
    """Every architecture adapts to colours, size (also not square, also odd) and number of classes."""
    network = build_network(architecture, ModelShape(channels, height, width, classes)).eval()
    with torch.no_grad():
        assert network(torch.zeros(3, channels, height, width)).shape == (3, classes)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_network_is_built_ready_for_training(architecture: str) -> None:
    """A fresh network is in training mode in all its layers."""
    assert all(module.training for module in build_network(architecture, ModelShape(1, 28, 28, 10)).modules())


@pytest.mark.parametrize(("height", "width"), [(7, 28), (28, 7), (1, 1)])
def test_cnn3_refuses_images_that_vanish(height: int, width: int) -> None:
    """Under 8 x 8 nothing would be left after three poolings; the message states the size."""
    with pytest.raises(UsageError, match=f"{height} x {width}"):
        build_network("cnn3", ModelShape(1, height, width, 10))


def test_misspelt_architecture_suggests_the_near_one() -> None:
    """A typing error in a recipe is answered with the name that was meant."""
    with pytest.raises(UsageError, match="Did you mean 'cnn3'"):
        build_network("cnn33", ModelShape(1, 28, 28, 10))
