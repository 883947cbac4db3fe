"""Networks by name: each takes normalised float images (N, C, H, W) and returns logits (N, K).

A new one is a function here and its entry in `ARCHITECTURES` (docs/reference/recipes.md).
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from torchstone_runtime.errors import DataError, UsageError, suggestion
from torchstone_train.networks.residual import Stage, convolutions, residual_network
from torchstone_train.networks.shape import ModelShape
from torchstone_train.recipes.own_code import class_and_message, is_reference, load_object, users_line

__all__ = ["ARCHITECTURES", "ModelShape", "build_network"]

Builder = Callable[[ModelShape], nn.Module]


def cnn3(shape: ModelShape) -> nn.Module:
    """Three 3x3 convolutions of 32, 64 and 128 filters, each with ReLU and 2x2 max-pooling; dense 256; dropout 0.5.

    On 28x28 images the last feature map is 128 x 3 x 3.
    """
    features: list[nn.Module] = []
    channels = shape.channels
    for filters in (32, 64, 128):
        features += _conv_pool(channels, filters, kernel=3, padding=1)
        channels = filters
    head = [nn.Linear(_flat_size(features, shape), 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, shape.num_classes)]
    return nn.Sequential(*features, nn.Flatten(), *head)


def sgd_cnn(shape: ModelShape) -> nn.Module:
    """Convolutions of 20 (5x5), 46 (4x4) and 70 (3x3) filters, each with ReLU and 2x2 max-pooling; dense 512.

    Padded so that 70 x 3 x 3 remain of 28x28 images.
    """
    features = [
        *_conv_pool(shape.channels, 20, kernel=5, padding=2),
        *_conv_pool(20, 46, kernel=4, padding=2),
        *_conv_pool(46, 70, kernel=3, padding=1),
    ]
    head = [nn.Linear(_flat_size(features, shape), 512), nn.ReLU(), nn.Linear(512, shape.num_classes)]
    return nn.Sequential(*features, nn.Flatten(), *head)


def mlp(shape: ModelShape) -> nn.Module:
    """Flattened pixels, hidden layers of 512 and 256 with ReLU."""
    pixels = shape.channels * shape.height * shape.width
    hidden = [nn.Linear(pixels, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(256, shape.num_classes))


def mnist_cnn(shape: ModelShape) -> nn.Module:
    """Convolutions of 32 (padded) and 64 (not padded) 3x3 filters, each with ReLU and 2x2 max-pooling; dense 128.

    On 28x28 images 64 x 6 x 6 remain.
    """
    features = [
        *_conv_pool(shape.channels, 32, kernel=3, padding=1),
        *_conv_pool(32, 64, kernel=3, padding=0),
    ]
    head = [nn.Linear(_flat_size(features, shape), 128), nn.ReLU(), nn.Linear(128, shape.num_classes)]
    return nn.Sequential(*features, nn.Flatten(), *head)


def bn_cnn(shape: ModelShape) -> nn.Module:
    """Two 3x3 convolutions (32, 64) with batch norm, ReLU and pooling; dense 256 and 128, dropout 0.5 after each.

    On 28x28 images 64 x 7 x 7 = 3136 values remain.
    """
    features: list[nn.Module] = []
    channels = shape.channels
    for filters in (32, 64):
        convolution = nn.Conv2d(channels, filters, 3, padding=1)
        features += [convolution, nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)]
        channels = filters
    head: list[nn.Module] = []
    size = _flat_size(features, shape)
    for width in (256, 128):
        head += [nn.Linear(size, width), nn.ReLU(), nn.Dropout(0.5)]
        size = width
    return nn.Sequential(*features, nn.Flatten(), *head, nn.Linear(size, shape.num_classes))


def stone_s(shape: ModelShape) -> nn.Module:
    """The smallest stone (`residual.residual_network`): 32, 64 and 64 filters, each at half the size before.

    It halves the image at once: at full size a convolution of few filters is slow for what it does.
    """
    return _stone(shape, Stage(32, 0, 2, kernel=5), Stage(64, 1, 2), Stage(64, 1, 2))


def stone_m(shape: ModelShape) -> nn.Module:
    """The middle stone: a plain chain of 32, 64 and, three times, 96 filters, pooled after the first two.

    Its first convolution works at full size, where it sees most; so few layers need no shortcuts, whose additions cost
    time in 8 bits.
    """
    return _stone(shape, Stage(32, 0, 1, pool=2), Stage(64, 0, 1, pool=2), Stage(96, 0, 1, plain=2))


def stone_l(shape: ModelShape) -> nn.Module:
    """The largest stone: 16 filters at full size, then 32 and 64; three blocks each.

    The residual network of 20 layers of K. He et al., arXiv 1512.03385, section 4.2, but that a convolution without a
    shortcut leads into each smaller size. Full size costs time and gains more than width does
    (docs/reference/training-speed.md).
    """
    return _stone(shape, Stage(16, 3, 1), Stage(32, 3, 2), Stage(64, 3, 2))


def sprint(shape: ModelShape) -> nn.Module:
    """A plain chain that learns much in few steps: 16, 64 and 128 filters, each at half the size before.

    Its last maps go to the linear layer whole: where something lies tells much in few steps, which their mean forgets.
    """
    return _strided_chain(shape, Stage(16, 0, 2), Stage(64, 0, 2), Stage(128, 0, 2))


def sprint_mnist(shape: ModelShape) -> nn.Module:
    """A narrower chain than `sprint` whose first convolution sees more: 16 (5x5), 64 and 64 filters."""
    return _strided_chain(shape, Stage(16, 0, 2, kernel=5), Stage(64, 0, 2), Stage(64, 0, 2))


def sprint_color(shape: ModelShape) -> nn.Module:
    """A chain for small colour pictures: two 3x3 convolutions at each of three sizes, 64, 128 and 128 filters.

    The order of pooling and batch norm, and the unpadded 2x2 convolution in front, are those of airbench (K. Jordan,
    arXiv 2404.00498); its first weights are learnt here, and ReLU is in place of GELU, which takes longer. The largest
    value of each last map goes to the linear layer, so that it takes pictures of any size from 9 x 9 pixels on.
    """
    layers: list[nn.Module] = [nn.Conv2d(shape.channels, 24, 2), nn.ReLU()]
    channels = 24
    for filters in (64, 128, 128):
        layers += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.MaxPool2d(2)]
        layers += [nn.BatchNorm2d(filters), nn.ReLU()]
        layers += [nn.Conv2d(filters, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
        channels = filters
    _flat_size(layers, shape)
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(channels, shape.num_classes))


def _strided_chain(shape: ModelShape, *stages: Stage) -> nn.Module:
    features = convolutions(shape.channels, stages)
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(_flat_size(features, shape), shape.num_classes))


def _stone(shape: ModelShape, *stages: Stage) -> nn.Module:
    return residual_network(shape.channels, shape.num_classes, stages)


ARCHITECTURES: Final[dict[str, Builder]] = {
    "bn-cnn": bn_cnn,
    "cnn3": cnn3,
    "mlp": mlp,
    "mnist-cnn": mnist_cnn,
    "sgd-cnn": sgd_cnn,
    "sprint": sprint,
    "sprint-color": sprint_color,
    "sprint-mnist": sprint_mnist,
    "stone-l": stone_l,
    "stone-m": stone_m,
    "stone-s": stone_s,
}


def build_network(architecture: str, shape: ModelShape) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        architecture: a name of `ARCHITECTURES`, or `package.module:NAME` of the owner's own function, which is given
            the shape and returns a network for normalised float images (N, C, H, W) that gives logits (N, K).
        shape: images and number of classes that it is built for.

    Raises:
        UsageError: no architecture of that name, or the images are too small for it.
        DataError: the owner's code failed, or gave something else.
    """
    if is_reference(architecture):
        return _own_network(architecture, shape)
    if architecture not in ARCHITECTURES:
        raise UsageError(f"There is no architecture '{architecture}'.", suggestion(architecture, ARCHITECTURES))
    return ARCHITECTURES[architecture](shape)


def _own_network(reference: str, shape: ModelShape) -> nn.Module:
    build = load_object(reference, "the architecture")
    if not callable(build):
        raise UsageError(f"{reference} is not callable.", "Name a function of a ModelShape.")
    try:
        network = build(shape)
        with torch.no_grad():
            found = network.eval()(torch.zeros(2, shape.channels, shape.height, shape.width))
        network.train()
    except (Exception, SystemExit) as error:
        raise DataError(f"The network {reference} failed{users_line(error)}: {class_and_message(error)}.") from error
    if not isinstance(network, nn.Module) or tuple(found.shape) != (2, shape.num_classes):
        raise DataError(
            f"The network {reference} gives {type(found).__name__} of shape {tuple(getattr(found, 'shape', ()))} for "
            f"two images; expected logits of shape (2, {shape.num_classes}).",
            "Build it for the ModelShape that it is given.",
        )
    return network


def _conv_pool(channels: int, filters: int, *, kernel: int, padding: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, filters, kernel, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]


def _flat_size(features: list[nn.Module], shape: ModelShape) -> int:
    probe = torch.zeros(1, shape.channels, shape.height, shape.width)
    try:
        with torch.no_grad():
            # Evaluation mode: batch norm must not take the probe into its statistics.
            output: Tensor = nn.Sequential(*features).eval()(probe)
            return output.numel()
    except RuntimeError as error:  # a pooling or convolution with nothing left to work on
        raise UsageError(
            f"Images of {shape.height} x {shape.width} are too small for this architecture.",
            "Choose a larger --image-size, or the recipe mlp.",
        ) from error
    finally:
        nn.Sequential(*features).train()
