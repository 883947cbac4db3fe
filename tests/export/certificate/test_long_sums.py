"""Float32's own error, with long sums added as inference engines add them: by what a network computes, not by names."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from torchstone_export.certificate.long_sums import LANES, SHORTEST, SumsInARow

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.jit.script, which is still in use

_X = torch.from_numpy(np.random.RandomState(0).gamma(2, size=(3, 4, 40, 40)).astype(np.float32))


def in_a_row(values: list[float], lanes: int) -> float:
    """Add float32 values one after the other, in so many running sums."""
    sums = [np.float32(0)] * lanes
    for index, value in enumerate(np.array(values, np.float32)):
        sums[index % lanes] += value
    total = np.float32(0)
    for one in sums:
        total += one
    return float(total)


@settings(deadline=None)
@given(st.integers(SHORTEST, 400), st.integers(1, 3), st.integers(0, 1000))
def test_a_long_sum_is_added_in_a_row(length: int, count: int, seed: int) -> None:
    """To the last bit of what running sums side by side give."""
    values = torch.from_numpy(np.random.RandomState(seed).lognormal(size=(count, length)).astype(np.float32))
    with SumsInARow() as mode:
        along_the_last, along_the_first = values.sum(1), values.T.contiguous().sum(0)
    assert along_the_last.tolist() == [in_a_row(row, LANES) for row in values.tolist()]
    # Along any other axis there is nothing side by side but other sums.
    expected = [in_a_row(row, LANES if count == 1 else 1) for row in values.tolist()]
    assert along_the_first.tolist() == expected
    assert mode.longest == length


@settings(deadline=None)
@given(st.integers(0, SHORTEST - 1))
def test_a_short_sum_is_pytorch_s(length: int) -> None:
    """In any order their error is a few roundings."""
    values = torch.rand(5, length)
    with SumsInARow() as mode:
        found = values.sum(1)
    assert torch.equal(found, values.sum(1))
    assert mode.longest == 0


def by_hand(x: Tensor) -> Tensor:
    """Every map less its mean, divided by its deviation."""
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) * torch.rsqrt((x - mean).square().mean((2, 3), keepdim=True) + 1e-5)


def by_sums(x: Tensor) -> Tensor:
    """The same from sums."""
    count = x[0, 0].numel()
    centred = x - x.sum((2, 3), keepdim=True) / count
    return centred / (centred.pow(2).sum((2, 3), keepdim=True) / count + 1e-5).sqrt()


def by_variance(x: Tensor) -> Tensor:
    """The same from torch.var_mean."""
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize(
    "written",
    [
        nn.InstanceNorm2d(4),
        nn.GroupNorm(4, 4, affine=False),
        partial(nn.functional.layer_norm, normalized_shape=(40, 40)),
        partial(nn.functional.batch_norm, running_mean=None, running_var=None, training=True),
        by_sums,
        by_variance,
    ],
    ids=["instance norm", "group norm", "layer norm", "batch norm", "sums", "var_mean"],
)
def test_a_layer_costs_what_the_same_written_by_hand_costs(
    written: Callable[[Tensor], Tensor], *, inference: bool
) -> None:
    """The name of an operator decides nothing."""
    x = _X[:1] if isinstance(written, partial) and written.func is nn.functional.batch_norm else _X
    with torch.inference_mode(inference), torch.no_grad():
        with SumsInARow() as mode:
            found, expected = written(x), by_hand(x)
        exact = by_hand(x.double())
    errors = [float((values - exact).square().mean().sqrt()) for values in (found, expected)]
    assert mode.longest == 1600
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


@pytest.mark.parametrize(
    ("name", "compute"),
    [
        ("mean", lambda x: x.mean((1, 2, 3))),
        ("deviation", lambda x: x.std((1, 2, 3))),
        ("length", lambda x: x.flatten(1).norm(dim=1)),
        ("absolute sum", lambda x: x.flatten(1).norm(p=1, dim=1)),
        ("cumulative sum", lambda x: x.flatten(1).cumsum(1)[:, -1]),
        ("softmax", lambda x: x.flatten(2).softmax(2).square()),
        ("logsumexp", lambda x: x.logsumexp((2, 3))),
        ("pooling", lambda x: nn.functional.adaptive_avg_pool2d(x, 1)),
        ("window", lambda x: nn.functional.avg_pool2d(x, 40)),
        ("cosine", lambda x: nn.functional.cosine_similarity(x.flatten(1), x.flatten(1) ** 2)),
        ("attention", lambda x: nn.functional.scaled_dot_product_attention(*(x.flatten(2).transpose(1, 2),) * 3)),
    ],
)
@pytest.mark.parametrize("inference", [False, True])
def test_every_form_of_a_sum_is_added_in_a_row(
    name: str, compute: Callable[[Tensor], Tensor], *, inference: bool
) -> None:
    """Taken apart by PyTorch's own decompositions, or by a rule."""
    with torch.inference_mode(inference), torch.no_grad():
        plain, exact = compute(_X), compute(_X.double())
        with SumsInARow() as mode:
            found = compute(_X)
    assert mode.longest >= 1600, name
    assert found.shape == plain.shape
    assert torch.allclose(found.double(), exact, rtol=1e-3)
    assert not torch.equal(found, plain)


def test_batch_norm_by_stored_statistics_sums_nothing() -> None:
    """It is a product with constants."""
    layer = nn.BatchNorm2d(4).eval()
    with torch.inference_mode(), SumsInARow() as mode:
        found = layer(_X)
    assert mode.longest == 0
    assert torch.allclose(found, layer(_X))


def test_a_scripted_module_is_seen_through() -> None:
    """Its operators are those of its code."""
    scripted = torch.jit.script(by_sums)
    with torch.inference_mode(), SumsInARow() as mode:
        found, expected = scripted(_X), by_sums(_X)
    assert mode.longest == 1600
    assert torch.equal(found, expected)
