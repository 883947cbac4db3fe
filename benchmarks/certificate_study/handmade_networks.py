"""Networks that normalise by hand, for the certificate's study."""

from collections.abc import Callable
from functools import partial
from typing import Final

from torch import nn

from benchmarks.certificate_study.handmade import (
    MAP,
    NORMALISERS,
    WHOLE,
    Attention,
    CosineHead,
    Normalised,
    PoolHead,
    StandardisedConv,
    SumGate,
    Times,
)
from torchstone_train.networks.architectures import ModelShape


def _body(width: int, channels: int, convolution: type[nn.Conv2d] = nn.Conv2d) -> list[nn.Module]:
    return [
        *(convolution(channels, width, 3, padding=1), nn.ReLU()),
        *(convolution(width, width, 3, padding=1, stride=2), nn.ReLU()),
    ]


def _pooled(width: int, shape: ModelShape) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, shape.num_classes)]


def of_pixels(name: str, dims: tuple[int, ...], shape: ModelShape) -> nn.Module:
    """A small network on pictures that are normalised by hand first."""
    return nn.Sequential(Normalised(name, dims), *_body(16, shape.channels), *_pooled(16, shape))


def of_scaled_pixels(name: str, factor: float, shape: ModelShape) -> nn.Module:
    """The same with pixels of another scale."""
    return nn.Sequential(Times(factor), of_pixels(name, WHOLE, shape))


def of_large_pixels(norm: Callable[[ModelShape], nn.Module], shape: ModelShape) -> nn.Module:
    """A small network on large pictures that are normalised first."""
    first = nn.Conv2d(shape.channels, 16, 7, stride=4, padding=3)
    return nn.Sequential(norm(shape), first, nn.ReLU(), *_body(16, 16), *_pooled(16, shape))


def of_features(name: str, dims: tuple[int, ...], shape: ModelShape) -> nn.Module:
    """A network whose maps are normalised by hand after every convolution."""
    blocks: list[nn.Module] = []
    for index, channels in enumerate((shape.channels, 16, 16)):
        blocks += [nn.Conv2d(channels, 16, 3, padding=1, stride=1 + index % 2), Normalised(name, dims), nn.SiLU()]
    return nn.Sequential(*blocks, *_pooled(16, shape))


def with_layer(make: Callable[[int], nn.Module], shape: ModelShape) -> nn.Module:
    """A layer between convolutions and head."""
    return nn.Sequential(*_body(16, shape.channels), make(16), *_pooled(16, shape))


def with_head(make: Callable[[int, int], nn.Module], shape: ModelShape) -> nn.Module:
    """Another head after two convolutions."""
    return nn.Sequential(*_body(16, shape.channels), make(16, shape.num_classes))


def cosine(where: str, shape: ModelShape) -> nn.Module:
    """Cosines of pooled features, or of whole maps."""
    size = 16 if where == "pooled" else 16 * ((shape.height + 1) // 2) * ((shape.width + 1) // 2)
    pool = [nn.AdaptiveAvgPool2d(1)] if where == "pooled" else []
    return nn.Sequential(*_body(16, shape.channels), *pool, CosineHead(size, shape.num_classes))


def standardised_weights(shape: ModelShape) -> nn.Module:
    """Weight standardisation in both convolutions."""
    return nn.Sequential(*_body(32, shape.channels, StandardisedConv), *_pooled(32, shape))


def whole_layer_norm(shape: ModelShape) -> nn.Module:
    """Layer norm over whole pictures."""
    size = [shape.channels, shape.height, shape.width]
    return nn.Sequential(nn.LayerNorm(size), *_body(16, shape.channels), *_pooled(16, shape))


_SCALED: Final = ("deviation", "variance", "moments", "rms", "length")
LARGE: Final[dict[str, Callable[[ModelShape], nn.Module]]] = {
    **{
        f"large pixels by {name}": partial(of_large_pixels, partial(lambda n, _: Normalised(n, WHOLE), name))
        for name in ("mean", "deviation", "moments", "rms", "length", "absolute sum")
    },
    "large instance norm": partial(of_large_pixels, lambda shape: nn.InstanceNorm2d(shape.channels)),
    "large layer norm": partial(
        of_large_pixels, lambda shape: nn.LayerNorm([shape.channels, shape.height, shape.width])
    ),
}
NETWORKS: Final[dict[str, Callable[[ModelShape], nn.Module]]] = {
    **{f"pixels by {name}": partial(of_pixels, name, WHOLE) for name in NORMALISERS if name != "response"},
    **{
        f"channels by {name}": partial(of_pixels, name, MAP)
        for name in ("deviation", "variance", "moments", "rms", "length")
    },
    **{
        f"features by {name}": partial(of_features, name, MAP)
        for name in NORMALISERS
        if name not in ("einsum", "softmax")
    },
    **{f"whole features by {name}": partial(of_features, name, WHOLE) for name in ("deviation", "moments", "einsum")},
    **{f"pixels x {f:g} by {name}": partial(of_scaled_pixels, name, f) for name in _SCALED for f in (1e-3, 1e3)},
    "attention": partial(with_layer, Attention),
    "gate of sums": partial(with_layer, SumGate),
    "cosines of maps": partial(cosine, "maps"),
    "cosines": partial(cosine, "pooled"),
    **{
        f"pooled by {kind}": partial(with_head, partial(PoolHead, kind))
        for kind in ("logsumexp", "generalised mean", "bilinear")
    },
    "standardised weights": standardised_weights,
    "whole layer norm": whole_layer_norm,
}
