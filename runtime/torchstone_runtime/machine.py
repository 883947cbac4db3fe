"""The machine and the versions that a measured figure belongs to."""

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from torchstone_runtime import __version__
from torchstone_runtime.cpu import usable_cpus


def describe_machine() -> dict[str, Any]:
    """Return processor, usable processors, load average over a minute, system and versions, as JSON data."""
    return {
        "processor": processor_name(),
        "processors": usable_cpus(),
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "torchstone": __version__,
            "python": platform.python_version(),
            "onnxruntime": ort.__version__,
            "numpy": np.__version__,
        },
    }


def processor_name() -> str:
    """Return the processor's name, or its architecture where the system doesn't tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
