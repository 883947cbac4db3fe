"""ONNX Runtime's tools for smaller files, without the folder that they add to the import path.

It holds modules such as `benchmark` and `models`, which a caller would import in the place of missing ones.
"""

import sys

_places = list(sys.path)

from onnxruntime.quantization import (  # noqa: E402 - after what it changes was noted
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: E402
from onnxruntime.transformers.onnx_model import OnnxModel  # noqa: E402

sys.path[:] = [place for place in sys.path if place in _places]

__all__ = [
    "CalibrationDataReader",
    "CalibrationMethod",
    "OnnxModel",
    "QuantFormat",
    "QuantType",
    "convert_float_to_float16",
    "quantize_static",
]
