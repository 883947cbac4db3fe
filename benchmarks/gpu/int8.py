"""A file in 8 bits as GPUs take it: signed on both sides and symmetric, between Quantize and Dequantize."""

import tempfile
from pathlib import Path
from typing import Final

from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from torchstone_runtime.arrays import Uint8Array

_CALIBRATED: Final = 16


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    def __init__(self, images: Uint8Array) -> None:
        self._left = iter([images[:_CALIBRATED]])

    def get_next(self) -> dict[str, Uint8Array] | None:
        found = next(self._left, None)
        return None if found is None else {"images": found}


def int8_for_gpu(content: bytes, images: Uint8Array) -> bytes:
    """Return a float file quantised for TensorRT, whose accuracy is nobody's concern: its speed is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(content)
        quantize_static(
            *(source, target, _Reader(images)),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add"],
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True},
        )
        return target.read_bytes()
