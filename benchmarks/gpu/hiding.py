"""A process that lacks a library: an empty file is laid over each copy of it, for that process alone.

`unshare` gives the process its own view of the file system, which ends with it; nothing on the disk changes. It needs
the rights of root, or user namespaces.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import OutputError

LIBRARIES: Final = (
    *("libcuda.so.1", "libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10"),
    *("libcudnn.so.9", "libnvrtc.so.13", "libcufft.so.12", "libonnxruntime_providers_shared.so"),
)
"""What ONNX Runtime's CUDA provider needs, and what it opens only when it computes."""
TENSORRT_LIBRARIES: Final = ("libonnxruntime_providers_tensorrt.so", "libnvinfer.so.10", "libnvonnxparser.so.10")
"""What its TensorRT provider needs beside."""
_PLACES: Final = ("/usr", "/lib", "/lib64", "/opt", "/usr/local/nvidia")


def copies(name: str, places: Iterable[str | Path] | None = None) -> list[Path]:
    """Return every file of a name under the places where libraries lie, links followed, each once."""
    roots = {Path(place).resolve() for place in (places or (*_PLACES, *filter(None, sys.path))) if Path(place).is_dir()}
    outermost = [root for root in roots if not any(other in root.parents for other in roots)]
    found = (Path(folder, name).resolve() for root in outermost for folder, _, files in os.walk(root) if name in files)
    return sorted(dict.fromkeys(found))


@cache
def may_hide() -> bool:
    """Return whether this process may give another one a view of its own."""
    try:
        return subprocess.run([*_unshare(), "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run_without(files: Sequence[Path], command: Sequence[str], seconds: float) -> "subprocess.CompletedProcess[str]":
    """Run a command that finds empty files in the place of some.

    Raises:
        OutputError: this process may not hide files.
    """
    if files and not may_hide():
        raise OutputError("Files cannot be hidden from a process here.", "Run as root, or allow user namespaces.")
    with tempfile.NamedTemporaryFile() as empty:
        lines = [f'mount --bind "{empty.name}" "{file}"' for file in files]
        script = " && ".join([*lines, 'exec "$@"'])
        hidden = [*_unshare(), "sh", "-c", script, "sh", *command] if files else list(command)
        return subprocess.run(hidden, capture_output=True, text=True, check=False, timeout=seconds)


def _unshare() -> list[str]:
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
