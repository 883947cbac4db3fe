"""A tensor from an .npy file."""

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.errors import DataError

_MAX_VALUES: Final = 1 << 26
_HELP: Final = "Write it with numpy.save(FILE, tensor): numbers, of one image."


def read_tensor(path: Path) -> npt.NDArray[Any]:
    """Read the tensor of one image from an `.npy` file; nothing is unpickled.

    Raises:
        DataError: no such file, no `.npy` file, no numbers, none at all, or more than 2**26 of them.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file.", _HELP)
    try:
        # Mapped and not read: a header that lies about the shape then costs no memory.
        mapped = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # A damaged header makes NumPy raise half a dozen unrelated classes.
        raise DataError(f"{path} cannot be read as an .npy file: {error}.", _HELP) from error
    if mapped.dtype.kind not in "buif":
        raise DataError(f"{path} holds {mapped.dtype}, expected numbers.", _HELP)
    if not 0 < math.prod(mapped.shape) <= _MAX_VALUES:
        raise DataError(f"{path} has the shape {mapped.shape}; expected the tensor of one image.", _HELP)
    return np.array(mapped)
