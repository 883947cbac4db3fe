"""Normalisations written by hand, for the certificate's study: no operator's name says what they do."""

from collections.abc import Callable
from functools import partial
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

WHOLE: Final = (1, 2, 3)
MAP: Final = (2, 3)


def by_mean(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Less the mean."""
    return x - x.mean(dims, keepdim=True)


def by_deviation(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-6) -> Tensor:
    """Less the mean, divided by the standard deviation."""
    return (x - x.mean(dims, keepdim=True)) / (x.std(dims, keepdim=True) + epsilon)


def by_variance(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-5) -> Tensor:
    """Less the mean, times the reciprocal root of the variance."""
    return (x - x.mean(dims, keepdim=True)) * torch.rsqrt(x.var(dims, unbiased=False, keepdim=True) + epsilon)


def by_moments(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-5) -> Tensor:
    """The variance as the mean of squares less the square of the mean: digits cancel."""
    mean, squares = x.mean(dims, keepdim=True), (x * x).mean(dims, keepdim=True)
    return (x - mean) / torch.sqrt((squares - mean * mean).clamp_min(0) + epsilon)


def by_sums(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-6) -> Tensor:
    """Sums in place of means."""
    count = x[0].numel() / (1 if 1 in dims else x.shape[1])
    centred = x - x.sum(dims, keepdim=True) / count
    return centred / ((centred * centred).sum(dims, keepdim=True) / (count - 1) + epsilon) ** 0.5


def by_einsum(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-5) -> Tensor:
    """Sums as products with ones."""
    del dims
    flat = x.flatten(1)
    centred = flat - (flat @ flat.new_ones(flat.shape[1], 1)) / flat.shape[1]
    variance = torch.einsum("nk,nk->n", centred, centred) / flat.shape[1]
    return (centred / (variance + epsilon).sqrt().unsqueeze(1)).view_as(x)


def by_rms(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-6) -> Tensor:
    """Divided by the root mean square."""
    return x / (x.pow(2).mean(dims, keepdim=True) + epsilon).sqrt()


def by_length(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-12) -> Tensor:
    """Divided by the Euclidean length, times the root of the count."""
    if 1 in dims:
        return cast("Tensor", functional.normalize(x.flatten(1), dim=1, eps=epsilon).view_as(x) * x[0].numel() ** 0.5)
    return cast("Tensor", functional.normalize(x.flatten(2), dim=2, eps=epsilon).view_as(x) * x[0, 0].numel() ** 0.5)


def by_absolute_sum(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-6) -> Tensor:
    """Divided by the mean of absolute values."""
    return x / (x.abs().mean(dims, keepdim=True) + epsilon)


def by_range(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-6) -> Tensor:
    """From 0 to 1 between the smallest and the largest value."""
    low, high = x.amin(dims, keepdim=True), x.amax(dims, keepdim=True)
    return (x - low) / (high - low + epsilon)


def by_neighbourhood(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-3) -> Tensor:
    """Local contrast: mean and deviation of windows of 9 x 9."""
    del dims
    pool = partial(functional.avg_pool2d, kernel_size=9, stride=1, padding=4, count_include_pad=False)
    centred = x - pool(x)
    return centred / (pool(centred * centred) + epsilon).sqrt()


def by_softmax(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-12) -> Tensor:
    """Values weighted by a softmax over all places, written out."""
    powers = torch.exp(x - x.amax(dims, keepdim=True))
    return x * powers / (powers.sum(dims, keepdim=True) + epsilon) * x[0, 0].numel()


def by_response(x: Tensor, dims: tuple[int, ...], epsilon: float = 1e-6) -> Tensor:
    """Global response normalisation (ConvNeXt V2), without its learnt factors."""
    del dims
    lengths = x.norm(p=2, dim=(2, 3), keepdim=True)
    return cast("Tensor", x * (lengths / (lengths.mean(1, keepdim=True) + epsilon)) + x)


NORMALISERS: Final[dict[str, Callable[..., Tensor]]] = {
    "mean": by_mean,
    "deviation": by_deviation,
    "variance": by_variance,
    "moments": by_moments,
    "sums": by_sums,
    "einsum": by_einsum,
    "rms": by_rms,
    "length": by_length,
    "absolute sum": by_absolute_sum,
    "range": by_range,
    "neighbourhood": by_neighbourhood,
    "softmax": by_softmax,
    "response": by_response,
}


class Normalised(nn.Module):
    """A normaliser as a layer; `options` are an epsilon that is not its own."""

    def __init__(self, name: str, dims: tuple[int, ...], **options: float) -> None:
        super().__init__()
        self.name, self.dims, self.options = name, dims, options

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        return NORMALISERS[self.name](x, self.dims, **self.options)


class Times(nn.Module):
    """Pixels of another scale."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        return x * self.factor


class Attention(nn.Module):
    """Attention over all places of a map, its softmax written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 3 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        tokens = x.flatten(2).transpose(1, 2)
        query, key, value = self.project(tokens).chunk(3, dim=-1)
        scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
        powers = (scores - scores.amax(-1, keepdim=True)).exp()
        mixed = (powers / powers.sum(-1, keepdim=True)) @ value
        return cast("Tensor", x + mixed.transpose(1, 2).reshape(x.shape))


class StandardisedConv(nn.Conv2d):
    """Weight standardisation: every filter less its mean, divided by its deviation."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a map."""
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = centred / (centred.flatten(1).std(dim=1).view(-1, 1, 1, 1) + 1e-5)
        return cast("Tensor", self._conv_forward(x, weight, self.bias))


class SumGate(nn.Module):
    """Squeeze-excite whose squeeze is a channel's share of the sum of all."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(width, width // 4), nn.SiLU(), nn.Linear(width // 4, width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        sums = x.abs().sum((2, 3))
        return cast("Tensor", x * self.gate(sums / (sums.sum(1, keepdim=True) + 1e-6) * x.shape[1])[:, :, None, None])


class CosineHead(nn.Module):
    """Logits are cosines, times a constant."""

    def __init__(self, size: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_classes, size))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return 16 * functional.linear(functional.normalize(x.flatten(1)), functional.normalize(self.weight))


class PoolHead(nn.Module):
    """A map becomes one number a channel, then logits."""

    def __init__(self, kind: str, width: int, num_classes: int) -> None:
        super().__init__()
        self.kind = kind
        self.dense = nn.Linear(width * width if kind == "bilinear" else width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        if self.kind == "logsumexp":
            pooled = x.logsumexp((2, 3))
        elif self.kind == "generalised mean":
            pooled = x.clamp_min(1e-6).pow(3).mean((2, 3)).pow(1 / 3)
        else:
            flat = x.flatten(2)
            products = (flat @ flat.transpose(1, 2)).flatten(1) / flat.shape[2]
            pooled = functional.normalize(products.sign() * (products.abs() + 1e-6).sqrt())
        result: Tensor = self.dense(pooled)
        return result
