"""PyTorch's exporter parses the source of its 500 operators at every export; with this module imported, once a process.

That is half a second of an export which takes two, and in a process that has exported nothing yet a whole one. What
is kept is PyTorch's own list, of functions that no export changes.
"""

from contextlib import suppress
from functools import cache
from typing import Any

with suppress(
    ImportError, AttributeError, KeyError
):  # other versions of PyTorch name it otherwise: each export then parses
    from torch._export.utils import _collect_all_valid_cia_ops
    from torch.onnx._internal import _lazy_import

    onnxscript_apis: Any = vars(_lazy_import)["onnxscript_apis"]
    onnxscript_apis.get_torchlib_ops = cache(onnxscript_apis.get_torchlib_ops)
    onnxscript_apis.get_torchlib_ops()
    _collect_all_valid_cia_ops()
