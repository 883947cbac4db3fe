"""The array types of the runtime's signatures."""

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
Uint8Array = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
