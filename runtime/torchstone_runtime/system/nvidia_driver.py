"""NVIDIA's driver, asked by itself: no library of CUDA is loaded for it."""

import ctypes
import os
from typing import Any, Final

DRIVER_LIBRARY: Final = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"

_NO_DEVICE: Final = 100
"""CUDA_ERROR_NO_DEVICE: also where CUDA_VISIBLE_DEVICES hides every GPU."""


def ask_driver() -> dict[str, Any]:
    """Return what the driver says (CUDA driver API).

    Returns:
        `devices`, the number of GPUs, and either `cuda`, the latest CUDA version that it serves ("13.0"), or `error`.
    """
    try:
        library = ctypes.CDLL(DRIVER_LIBRARY)
    except OSError as error:
        return {"error": str(error), "devices": 0}
    version, devices = ctypes.c_int(), ctypes.c_int()
    code = library.cuInit(0)
    if code not in (0, _NO_DEVICE):
        return {"error": f"cuInit gave error {code}", "devices": 0}
    library.cuDriverGetVersion(ctypes.byref(version))
    if code != _NO_DEVICE:
        library.cuDeviceGetCount(ctypes.byref(devices))
    return {"cuda": f"{version.value // 1000}.{version.value % 1000 // 10}", "devices": devices.value}
