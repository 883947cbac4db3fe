"""The machine and the versions that a measured figure belongs to."""

import os
import platform
import sys
from typing import Any

import numpy as np
import onnxruntime as ort

from torchstone_runtime.system.cpu import processor_name, usable_cpus
from torchstone_runtime.version import __version__


def describe_machine() -> dict[str, Any]:
    """Return processor, usable processors, load average over a minute (None on Windows), system, versions; as JSON."""
    return {
        "processor": processor_name(),
        "processors": usable_cpus(),
        "load_average": _load_average(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "torchstone": __version__,
            "python": platform.python_version(),
            "onnxruntime": ort.__version__,
            "numpy": np.__version__,
        },
    }


def _load_average() -> float | None:
    load = None
    if sys.platform != "win32":
        load = round(os.getloadavg()[0], 2)
    return load
