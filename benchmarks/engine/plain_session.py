"""A session of ONNX Runtime as one makes it without thinking, on the processors that the process may use."""

import os
from pathlib import Path

import onnxruntime as ort

from torchstone_runtime.system.cpu import usable_cpus


def plain_session(path: Path) -> ort.InferenceSession:
    """Return a session with ONNX Runtime's own defaults.

    Where the process may use fewer processors than there are, the number of threads is that number: by default
    ONNX Runtime starts a thread for each processor of the machine and binds it there, outside of what is allowed.
    """
    options = ort.SessionOptions()
    if usable_cpus() < (os.cpu_count() or 1):
        options.intra_op_num_threads = usable_cpus()
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
