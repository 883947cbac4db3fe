"""Long sums added up as inference engines do: in a row, where PyTorch adds by halves.

Both are float32. PyTorch's error grows with the logarithm of the length, that of a row up to the length itself, and a
mean, deviation or length that everything is then reduced or divided by carries it into every value. How far the
logits move depends on the network, so it is not guessed but computed: the network is run once more with its long sums
added in a row, and the error of that run is what float32 costs there (`Reference.noise_floor`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch.utils._python_dispatch import TorchDispatchMode

SHORTEST: Final = 64
"""Sums of fewer values are left to PyTorch: in any order their error is a few roundings."""
LANES: Final = 8
"""Running sums that are kept side by side: two vectors of four values, as ONNX Runtime's builds for x86-64 do."""

Dims = Sequence[int] | int | None

_BLOCK: Final = 1 << 24
"""Values that are copied at a time."""
_COMPOSITE: Final = torch._C.DispatchKey.CompositeImplicitAutograd  # noqa: SLF001 - it has no public name
_EUCLIDEAN: Final = 2


class SumsInARow(TorchDispatchMode):
    """Adds long float32 sums in a row, whatever operators ask for them.

    Normalisations, softmax, norms and attention are taken apart into sums, so that a layer of PyTorch's and the same
    written by hand are computed alike.

    Attributes:
        longest: length of the longest sum so far, in values; 0 where none was long.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.longest = 0

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator overload
        types: Any,  # noqa: ANN401 - unused
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operator gives
        del types
        kwargs = kwargs or {}
        if not (args and isinstance(args[0], Tensor) and args[0].dtype == torch.float32) or "out" in kwargs:
            return func(*args, **kwargs)
        parts = func.decompose if func.has_kernel_for_dispatch_key(_COMPOSITE) else _parts(func, args)
        if parts is not None:
            with self:
                return parts(*args, **kwargs)
        rule = _RULES.get(func.overloadpacket)
        if rule is None or kwargs.get("dtype") not in (None, torch.float32):
            return func(*args, **kwargs)
        result = rule(self, *args, **{key: value for key, value in kwargs.items() if key != "dtype"})
        return func(*args, **kwargs) if result is None else result

    def total(self, values: Tensor, dims: Dims, keepdim: bool | None, lanes: int | None = None) -> Tensor | None:
        """Return the sum over `dims` (all if None or empty), added in a row; None where it is short.

        `lanes` are those of the axes if None: only where the last axis is summed are there values side by side.
        """
        rows, shape = _rows(values, dims, bool(keepdim))
        lanes = lanes or _lanes(values, dims)
        if rows.shape[1] < SHORTEST:
            return None
        self.longest = max(self.longest, rows.shape[1])
        blocks = torch.split(rows, max(1, _BLOCK // rows.shape[1]))
        return torch.cat([torch.from_numpy(_added_in_a_row(block.numpy(), lanes)) for block in blocks]).reshape(shape)


def _parts(func: Any, args: tuple[Any, ...]) -> Callable[..., Any] | None:  # noqa: ANN401 - an operator overload
    # Batch norm as it is after training divides by constants; by sums it does where its flag says so.
    by_batch = func.overloadpacket in _BATCH_NORMS and any(argument is True for argument in args)
    if by_batch or func.overloadpacket in _TAKEN_APART:
        found: Callable[..., Any] | None = decomposition_table.get(func)
        return found
    return None


# The rules take the operators' own arguments, and give None for what is left to PyTorch.


def _sum(mode: SumsInARow, x: Tensor, dim: Dims = None, keepdim: Any = None) -> Tensor | None:  # noqa: ANN401
    return mode.total(x, dim, keepdim)


def _mean(mode: SumsInARow, x: Tensor, dim: Dims = None, keepdim: Any = None) -> Tensor | None:  # noqa: ANN401
    total = mode.total(x, dim, keepdim)
    return None if total is None else total / (x.numel() / total.numel())


def _var_mean(
    mode: SumsInARow, x: Tensor, dim: Dims = None, *, correction: float | None = None, keepdim: bool = False
) -> tuple[Tensor, Tensor] | None:
    mean = _mean(mode, x, dim, keepdim=True)
    squares = None if mean is None else mode.total((x - mean).square(), dim, keepdim)
    if mean is None or squares is None:
        return None
    count = x.numel() / mean.numel() - (1 if correction is None else correction)
    return squares / max(count, 0), mean.reshape(squares.shape)


def _var(mode: SumsInARow, *args: Any, **options: Any) -> Tensor | None:  # noqa: ANN401 - as of `_var_mean`
    found = _var_mean(mode, *args, **options)
    return None if found is None else found[0]


def _norm(mode: SumsInARow, x: Tensor, power: float = 2, *rest: Any) -> Tensor | None:  # noqa: ANN401
    dim, keepdim = (*rest, None, None)[:2]
    if power == _EUCLIDEAN:
        squares = mode.total(x.square(), dim, keepdim, lanes=1)  # ONNX Runtime's ReduceL2 keeps one running sum
        return None if squares is None else squares.sqrt()
    if not 0 < power < float("inf"):
        return None
    powers = mode.total(x.abs() if power == 1 else x.abs() ** power, dim, keepdim)
    return powers if powers is None or power == 1 else powers ** (1 / power)


def _cumulative(mode: SumsInARow, x: Tensor, dim: int) -> Tensor | None:
    if x.ndim == 0 or x.shape[dim] < SHORTEST:
        return None
    mode.longest = max(mode.longest, x.shape[dim])
    return torch.from_numpy(np.add.accumulate(x.detach().numpy(), axis=dim))


def _pooled(
    mode: SumsInARow,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    *padding: Any,  # noqa: ANN401
) -> Tensor | None:
    high, wide = kernel[0], kernel[-1]
    if (
        high * wide < SHORTEST
        or any(padding[0] if padding else ())
        or padding[1:2] == (True,)
        or padding[3:] not in ((), (None,))
    ):
        return None
    steps = stride or kernel
    return _mean(mode, x.unfold(-2, high, steps[0]).unfold(-2, wide, steps[-1]), (-2, -1))


def _rows(values: Tensor, dims: Dims, keepdim: bool) -> tuple[Tensor, list[int]]:
    # As [results, values of each], and the shape of the results.
    asked = [dims] if isinstance(dims, int) else list(dims or range(values.ndim))
    reduced = {dim % values.ndim for dim in asked} if values.ndim else set()
    kept = [dim for dim in range(values.ndim) if dim not in reduced]
    shape = [1 if dim in reduced else size for dim, size in enumerate(values.shape) if keepdim or dim not in reduced]
    count = int(np.prod([values.shape[dim] for dim in reduced]))
    return values.detach().permute(*kept, *sorted(reduced)).reshape(-1, max(count, 1)), shape


def _lanes(values: Tensor, dims: Dims) -> int:
    sized = [axis for axis, size in enumerate(values.shape) if size > 1]
    asked = [dims] if isinstance(dims, int) else list(dims or range(values.ndim))
    return LANES if sized and sized[-1] in {axis % values.ndim for axis in asked} else 1


def _added_in_a_row(rows: Any, lanes: int) -> Any:  # noqa: ANN401 - float32 arrays [M, n] and [M]
    count, length = rows.shape
    padded = np.pad(rows, ((0, 0), (0, -length % lanes)))
    steps = np.ascontiguousarray(padded.reshape(count, -1, lanes).transpose(1, 2, 0)).reshape(-1, lanes * count)
    return _down(_down(steps).reshape(lanes, count))


def _down(steps: Any) -> Any:  # noqa: ANN401 - float32 arrays [n, M] and [M]
    # NumPy adds contiguous values by halves; down the rows of a table of several columns, one after the other.
    return np.add.accumulate(steps, axis=0)[-1] if steps.shape[1] == 1 else np.add.reduce(steps, axis=0)


def _operators(names: str) -> frozenset[Any]:
    return frozenset(getattr(torch.ops.aten, name) for name in names.split())


_TAKEN_APART: Final = _operators(
    "native_layer_norm native_group_norm _fused_rms_norm renorm _softmax _log_softmax _safe_softmax logsumexp "
    "_scaled_dot_product_flash_attention_for_cpu nansum _adaptive_avg_pool2d std std_mean norm"
)
_BATCH_NORMS: Final = _operators("native_batch_norm _native_batch_norm_legit")
_RULES: Final[dict[Any, Callable[..., Any]]] = {
    torch.ops.aten.sum: _sum,
    torch.ops.aten.mean: _mean,
    torch.ops.aten.var: _var,
    torch.ops.aten.var_mean: _var_mean,
    torch.ops.aten.linalg_vector_norm: _norm,
    torch.ops.aten.cumsum: _cumulative,
    torch.ops.aten.avg_pool2d: _pooled,
}
