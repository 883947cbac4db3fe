"""The reference of a module of another origin: float64 even where its code asks for float32."""

import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from torchstone_export.certificate.reference import BATCH_VALUES, Reference, SplitReference, sums_in_a_row
from torchstone_export.foreign.whole_splits import require_same_alone
from torchstone_export.model import ExportableClassifier
from torchstone_export.run_over import run_over_split
from torchstone_runtime.arrays import Float32Array, Float64Array, Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_train.recipes.own_code import class_and_message

_BATCH: Final = 256


class _InFloat64(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own __init_subclass__
    """Computes every operation in float64: float32 arguments are converted, and requests for float32 changed.

    `.double()` alone does not reach what a module's code makes or casts itself: `x.float()`, a tensor that is no
    buffer, `torch.zeros(..., dtype=torch.float32)`. There it either fails or, worse, silently computes in float32.
    """

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator overload
        types: Any,  # noqa: ANN401 - unused
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operator gives
        del types
        return func(*tree_map(_widened, args), **tree_map(_widened, kwargs or {}))


def make_module_reference(model: ExportableClassifier, splits: Mapping[str, Split]) -> Reference:
    """Run a module over whole splits, in float32 and in float64.

    Where it can't be run in float64, the reference is float32, and the noise floor the largest difference between
    PyTorch's kernels for batches and for single images, with and without oneDNN; `Reference.caveat` then says so.
    """
    mode = _InFloat64()  # type: ignore[no-untyped-call]
    try:
        exact = deepcopy(model).double()
        with mode:
            _require_float64(exact, next(iter(splits.values())))
        computed = {name: _logits(exact, split, "PyTorch in float64", mode) for name, split in splits.items()}
    except Exception as error:  # noqa: BLE001 - whatever the owner's code raises where the dtype is another
        reason = class_and_message(error)
        # It goes into the bundle, which holds no paths.
        return _float32_reference(model, splits, type(error).__name__ if "/" in reason else reason)
    rows, longest = _in_a_row(model, splits)
    return Reference(
        {
            name: SplitReference(split, _plain(model, split), computed[name], rows.get(name))
            for name, split in splits.items()
        },
        longest_sum=longest,
    )


def _float32_reference(model: ExportableClassifier, splits: Mapping[str, Split], reason: str) -> Reference:
    rows, longest = _in_a_row(model, splits)
    parts = {
        name: SplitReference(split, _plain(model, split), _by_other_kernels(model, split), rows.get(name))
        for name, split in splits.items()
    }
    require_same_alone(parts, lambda images: _run(model, images, nullcontext()), partial(_without_onednn, model))
    return Reference(
        parts,
        longest_sum=longest,
        origin="the PyTorch model in float32 arithmetic, as it cannot be run in float64; noise_floor is the largest "
        "difference of a logit between batches run with oneDNN and single images run without",
        caveat=f"PyTorch in float32 only, since the module cannot be run in float64 ({reason}); errors that all of "
        "PyTorch's float32 kernels share are not seen",
    )


def _in_a_row(model: ExportableClassifier, splits: Mapping[str, Split]) -> tuple[dict[str, Float32Array], int]:
    try:
        return sums_in_a_row(model, splits, _plain)
    except Exception:  # noqa: BLE001 - code that cannot be run so is held to PyTorch's own error, which is stricter
        return {}, 0


def _require_float64(model: ExportableClassifier, split: Split) -> None:
    images = next(split.batches(1))
    if model.classifier(torch.from_numpy(np.ascontiguousarray(images))).dtype != torch.float64:
        raise TypeError("its outputs are not float64")


def _by_other_kernels(model: ExportableClassifier, split: Split) -> Float64Array:
    return run_over_split(split, 1, partial(_without_onednn, model), "PyTorch, one by one")


def _without_onednn(model: ExportableClassifier, images: Uint8Array) -> Float64Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings for devices that are not there
        with torch.backends.mkldnn.flags(enabled=False):
            return _run(model, images, nullcontext())


def _plain(model: ExportableClassifier, split: Split, task: str = "PyTorch in float32") -> Float32Array:
    return _logits(model, split, task, nullcontext()).astype(np.float32)


def _logits(model: ExportableClassifier, split: Split, task: str, mode: Any) -> Float64Array:  # noqa: ANN401 - a context
    return run_over_split(split, _BATCH, lambda images: _run(model, images, mode), task, most=BATCH_VALUES)


@torch.no_grad()
def _run(model: ExportableClassifier, images: Uint8Array, mode: Any) -> Float64Array:  # noqa: ANN401 - a context
    with mode:
        logits = model.classifier(torch.from_numpy(images))
    result: Float64Array = logits.numpy().astype(np.float64)
    return result


def _widened(value: Any) -> Any:  # noqa: ANN401 - an argument of an operator
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.to(torch.float64)
    return torch.float64 if value is torch.float32 else value
