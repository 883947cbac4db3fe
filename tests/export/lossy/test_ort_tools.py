"""What ONNX Runtime's tools leave in a process."""

import subprocess
import sys

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
