"""ONNX Runtime's tools for smaller files, without what they leave in a process.

The folder that they add to the import path holds modules such as `benchmark` and `models`, which a caller would import
in the place of missing ones. And they write to the root logger, which sets up logging for the whole process and prints
whole descriptions of tensors for each that stays as it is: their messages go to the logger `onnxruntime` instead, where
whoever has set up logging finds them.
"""

import logging
import sys

_places = list(sys.path)
_handlers = list(logging.root.handlers)

from onnxruntime.quantization import (  # noqa: E402 - after what it changes was noted
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: E402
from onnxruntime.transformers.onnx_model import OnnxModel  # noqa: E402

_LOGGER = logging.getLogger("onnxruntime")
_LOGGER.addHandler(logging.NullHandler())


class _OwnLogging:
    """The module `logging` for the tools: what it logs goes to their own logger."""

    def __getattr__(self, name: str) -> object:
        return getattr(_LOGGER if hasattr(_LOGGER, name) else logging, name)


sys.path[:] = [place for place in sys.path if place in _places]
logging.root.handlers[:] = [handler for handler in logging.root.handlers if handler in _handlers]
for _name, _module in list(sys.modules.items()):
    if _name.startswith("onnxruntime.") and getattr(_module, "logging", None) is logging:
        vars(_module)["logging"] = _OwnLogging()

__all__ = [
    "CalibrationDataReader",
    "CalibrationMethod",
    "OnnxModel",
    "QuantFormat",
    "QuantType",
    "convert_float_to_float16",
    "quantize_static",
]
