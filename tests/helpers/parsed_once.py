"""PyTorch's exporter reads the source of its 500 operators at every export; with this module imported, once a process.

So it does with what each of them takes and gives, and with which there are. Together that is half of the time that a
small network's export takes, and in a process that has exported nothing yet a second more. What is kept is PyTorch's
own, and no export changes it.
"""

import sys
from contextlib import suppress
from functools import cache
from typing import Any


class _Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return callable(instance)


class _CheapCallable(metaclass=_Meta):
    """`Callable` for annotations that are made anew at each call, of which an export has thousands, and never read."""

    def __class_getitem__(cls, _: object) -> type:
        return cls


def _torchvision() -> bool:
    """Return whether torchvision has added its operators."""
    return "torchvision" in sys.modules


with suppress(
    ImportError, AttributeError, KeyError
):  # other versions of PyTorch name it otherwise: each export then parses
    import torch._ops
    from torch._export import utils
    from torch.onnx._internal import _lazy_import
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    onnxscript_apis: Any = vars(_lazy_import)["onnxscript_apis"]
    onnxscript_apis.get_torchlib_ops = cache(onnxscript_apis.get_torchlib_ops)
    onnxscript_apis.get_torchlib_ops()

    _find: Any = utils._materialize_cpp_cia_ops
    _found = cache(lambda torchvision: _find())  # noqa: ARG005 - it is the key
    utils._materialize_cpp_cia_ops = lambda: _found(_torchvision())
    utils._collect_all_valid_cia_ops()

    _read: Any = ONNXRegistry.from_torchlib
    _kept = cache(lambda torchvision, **opset: _read(**opset))  # noqa: ARG005 - as above

    def _copied(_class: Any, /, **opset: int) -> Any:  # noqa: ANN401 - PyTorch's
        read, copy = _kept(_torchvision(), **opset), ONNXRegistry()
        vars(copy).update(vars(read), functions={name: [*found] for name, found in read.functions.items()})
        return copy

    _registry: Any = ONNXRegistry
    _registry.from_torchlib = classmethod(_copied)
    vars(torch._ops)["Callable"] = _CheapCallable
