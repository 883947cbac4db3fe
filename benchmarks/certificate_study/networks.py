"""The networks that the certificate's study exports: many kinds, depths, widths and sizes of logits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
import torchvision.models as tv
from torch import Tensor, nn

from benchmarks.certificate_study.handmade_networks import LARGE, NETWORKS
from torchstone_runtime.images.input_spec import ColorMode
from torchstone_train.networks.architectures import ARCHITECTURES, ModelShape, build_network

Builder = Callable[[ModelShape], nn.Module]


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of network.

    Attributes:
        build: fresh weights for a shape.
        color: `L` or `RGB`; side: of the square images.
        seeds: how many exports of it.
        steps: of training; 0 leaves the fresh weights.
    """

    build: Builder
    color: ColorMode = "L"
    side: int = 28
    seeds: int = 2
    steps: int = 60


def stack(blocks: Sequence[nn.Module], width: int, shape: ModelShape) -> nn.Module:
    """Blocks, global average pooling and a dense layer."""
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, shape.num_classes))


def deep_mlp(depth: int, width: int, shape: ModelShape) -> nn.Module:
    """Dense layers of one width."""
    size, layers = shape.channels * shape.height * shape.width, list[nn.Module]()
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.ReLU()]
        size = width
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(size, shape.num_classes))


def plain(depth: int, width: int, activation: Callable[[], nn.Module], norm: str, shape: ModelShape) -> nn.Module:
    """3x3 convolutions, every second one strided."""
    norms: dict[str, Callable[[int], list[nn.Module]]] = {
        "none": lambda _: [],
        "batch": lambda c: [nn.BatchNorm2d(c)],
        "group": lambda c: [nn.GroupNorm(4, c)],
        "instance": lambda c: [nn.InstanceNorm2d(c, affine=True)],
    }
    channels, blocks = shape.channels, list[nn.Module]()
    for index in range(depth):
        blocks += [nn.Conv2d(channels, width, 3, padding=1, stride=1 + index % 2), *norms[norm](width), activation()]
        channels = width
    return stack(blocks, width, shape)


def flat_head(width: int, pool: nn.Module, shape: ModelShape) -> nn.Module:
    """Two pooled convolutions and a dense layer over everything that is left."""
    features = nn.Sequential(
        *(nn.Conv2d(shape.channels, width, 3, padding=1), nn.ReLU(), pool),
        *(nn.Conv2d(width, width, 5, padding=2, padding_mode="reflect"), nn.ReLU(), pool, nn.Flatten()),
    )
    size = features(torch.zeros(1, shape.channels, shape.height, shape.width)).shape[1]
    return nn.Sequential(features, nn.Dropout(0.2), nn.Linear(size, shape.num_classes))


class Residual(nn.Module):
    """Two 3x3 convolutions with batch norm around which the input is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        return torch.relu(x + self.body(x))


class SqueezeExcite(nn.Module):
    """Channels weighted by what all of them say on average."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width // 4, 1), nn.SiLU()),
            *(nn.Conv2d(width // 4, width, 1), nn.Sigmoid()),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        result: Tensor = x * self.gate(x)
        return result


class NextBlock(nn.Module):
    """Depthwise 7x7, layer norm over channels, dense, GELU, dense, residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        result: Tensor = x + self.dense(self.depthwise(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return result


class SmallViT(nn.Module):
    """Patches of 7x7 pixels, learnt positions, transformer layers, the mean of the tokens."""

    def __init__(self, depth: int, width: int, shape: ModelShape) -> None:
        super().__init__()
        self.patches = nn.Conv2d(shape.channels, width, 7, stride=7)
        self.positions = nn.Parameter(torch.randn(1, (shape.height // 7) * (shape.width // 7), width) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.1, batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, shape.num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        for layer in self.layers:
            tokens = layer(tokens)
        result: Tensor = self.head(tokens.mean(dim=1))
        return result


class Scaled(nn.Module):
    """Another network's logits times a constant."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        result: Tensor = self.network(x) * self.factor
        return result


def residual(depth: int, width: int, shape: ModelShape) -> nn.Module:
    """A strided stem and residual blocks."""
    stem = nn.Conv2d(shape.channels, width, 3, padding=1, stride=2)
    return stack([stem, *(Residual(width) for _ in range(depth))], width, shape)


def mobile(depth: int, width: int, shape: ModelShape) -> nn.Module:
    """Depthwise and pointwise convolutions with batch norm, Hardswish and squeeze-excite."""
    blocks: list[nn.Module] = [nn.Conv2d(shape.channels, width, 3, padding=1, stride=2)]
    for _ in range(depth):
        blocks += [nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False), nn.BatchNorm2d(width)]
        blocks += [nn.Hardswish(), SqueezeExcite(width), nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU6()]
    return stack(blocks, width, shape)


def dilated(width: int, shape: ModelShape) -> nn.Module:
    """Dilated and grouped convolutions."""
    blocks = [nn.Conv2d(shape.channels, width, 3, dilation=2), nn.ELU()]
    blocks += [nn.Conv2d(width, width, 3, dilation=3, groups=4), nn.LeakyReLU(), nn.Conv2d(width, width, 3, stride=2)]
    return stack(blocks, width, shape)


def convnext(depth: int, width: int, shape: ModelShape) -> nn.Module:
    """Blocks of depthwise convolution and layer norm."""
    stem = nn.Conv2d(shape.channels, width, 4, stride=4)
    return stack([stem, *(NextBlock(width) for _ in range(depth))], width, shape)


def scaled(factor: float, architecture: str, shape: ModelShape) -> nn.Module:
    """Very large or tiny logits."""
    return Scaled(build_network(architecture, shape), factor)


def torchvision_model(name: str, shape: ModelShape) -> nn.Module:
    """A network of torchvision with fresh weights."""
    model: nn.Module = tv.get_model(name, weights=None, num_classes=shape.num_classes)
    return model


def _activations() -> dict[str, Callable[[], nn.Module]]:
    kinds = (nn.ReLU, nn.GELU, partial(nn.GELU, "tanh"), nn.SiLU, nn.Hardswish, nn.Mish, nn.Softplus, nn.Tanh)
    names = ("relu", "gelu", "gelu-tanh", "silu", "hardswish", "mish", "softplus", "tanh")
    return dict(zip(names, kinds, strict=True))


def _families() -> dict[str, Family]:
    recipes = {f"recipe {name}": Family(partial(build_network, name), seeds=3) for name in ARCHITECTURES}
    sizes = ((0, 1), (1, 16), (2, 128), (4, 64), (8, 256))
    mlps = {f"mlp {depth}x{width}": Family(partial(deep_mlp, depth, width), seeds=5) for depth, width in sizes}
    convolutions = {
        f"conv {name}": Family(partial(plain, 4, 24, activation, "none")) for name, activation in _activations().items()
    }
    norms = {
        f"{norm}-norm {d}x{w}": Family(partial(plain, d, w, nn.ReLU, norm))
        for norm, d, w in (*(("batch", d, w) for d, w in ((2, 8), (4, 32), (8, 16), (12, 32))), ("group", 4, 32))
    } | {
        "instance-norm": Family(partial(plain, 3, 16, nn.SiLU, "instance"), seeds=4),
        "instance-norm 5x24": Family(partial(plain, 5, 24, nn.ReLU, "instance"), seeds=4),
        "group-norm 2x16": Family(partial(plain, 2, 16, nn.GELU, "group"), seeds=4),
        "group-norm 6x24": Family(partial(plain, 6, 24, nn.SiLU, "group"), seeds=4),
    }
    others = {
        "average pooling": Family(partial(flat_head, 16, nn.AvgPool2d(2))),
        "pooling with ceil": Family(partial(flat_head, 16, nn.MaxPool2d(3, stride=2, ceil_mode=True))),
        **{f"residual {d}x{w}": Family(partial(residual, d, w)) for d, w in ((2, 16), (4, 32), (8, 16))},
        **{f"mobile {d}x{w}": Family(partial(mobile, d, w)) for d, w in ((2, 16), (5, 32))},
        "dilated and grouped": Family(partial(dilated, 16)),
        **{f"convnext {d}x{w}": Family(partial(convnext, d, w)) for d, w in ((1, 32), (3, 48))},
        **{f"vit {d}x{w}": Family(partial(SmallViT, d, w)) for d, w in ((1, 32), (3, 48), (6, 64))},
        **{f"logits x {f:g}": Family(partial(scaled, f, "bn-cnn")) for f in (1e6, 1e3, 1e-4, 1e-8)},
        "fresh cnn3": Family(partial(build_network, "cnn3"), steps=0),
        "fresh residual": Family(partial(residual, 6, 24), steps=0),
        "fresh vit": Family(partial(SmallViT, 4, 48), steps=0),
    }
    vision = {
        name: Family(partial(torchvision_model, name), "RGB", 32, seeds=1, steps=steps)
        for name, steps in (("resnet18", 12), ("mobilenet_v3_small", 20), ("mobilenet_v2", 20), ("mnasnet0_5", 20))
    } | {
        name: Family(partial(torchvision_model, name), "RGB", 48, seeds=1, steps=8)
        for name in ("shufflenet_v2_x0_5", "squeezenet1_1", "efficientnet_b0", "regnet_y_400mf")
    }
    handmade = {name: Family(build, seeds=1) for name, build in NETWORKS.items()}
    handmade |= {
        f"fresh {name}": Family(build, seeds=1, steps=0) for name, build in NETWORKS.items() if " x " not in name
    }
    handmade |= {name: Family(build, "RGB", 112, seeds=1, steps=8) for name, build in LARGE.items()}
    return {**recipes, **mlps, **convolutions, **norms, **others, **vision, **handmade}


FAMILIES: Final[dict[str, Family]] = _families()
