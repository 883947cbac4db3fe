"""What ONNX Runtime's tools leave in a process."""

import subprocess
import sys
from typing import Final

from conftest import STORED_BUNDLE

PROGRAM = f"""
import sys
before = list(sys.path)
import torchstone_export.pipeline
from torchstone_export.lossy.fp16_file import to_fp16
to_fp16(open({str(STORED_BUNDLE / "model.onnx")!r}, "rb").read())
print(sorted(set(sys.path) - set(before)))
"""


def test_nothing_is_added_to_the_import_path() -> None:
    """ONNX Runtime puts a folder there, whose `models` a caller would import in the place of a missing one."""
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


QUANTIZED: Final = """
import logging, sys, tempfile
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
from torchstone_export.lossy.ort_tools import CalibrationDataReader, QuantFormat, quantize_static

class Once(CalibrationDataReader):
    def __init__(self):
        self.left = [{"x": np.ones((3, 4), np.float32)}]
    def get_next(self):
        return self.left.pop() if self.left else None

weight = numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in (("x", 4), ("y", 2))]
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weight])
with tempfile.TemporaryDirectory() as folder:
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), f"{folder}/a.onnx")
    if HEARD:
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
    quantize_static(f"{folder}/a.onnx", f"{folder}/b.onnx", Once(), quant_format=QuantFormat.QDQ)
"""


def quantized(*, heard: bool) -> "subprocess.CompletedProcess[str]":
    """Quantise a file that ONNX Runtime has advice for, where logging is set up or not."""
    program = f"HEARD = {heard}{QUANTIZED}print(len(logging.root.handlers), 'handlers')"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)


def test_the_quantiser_says_nothing_and_sets_up_no_logging() -> None:
    """It describes each tensor that it leaves as it is, of a transformer dozens."""
    result = quantized(heard=False)
    assert (result.stdout, result.stderr) == ("0 handlers\n", "")


def test_whoever_has_set_up_logging_is_told() -> None:
    """By the logger `onnxruntime`."""
    assert "pre-processing" in quantized(heard=True).stdout
