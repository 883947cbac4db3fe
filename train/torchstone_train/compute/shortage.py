"""Whether an error of PyTorch says that the memory of a device is full."""

from typing import Final

import torch

_SAID: Final = (
    *("DefaultCPUAllocator: can't allocate memory", "posix_memalign failed"),
    *("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "CUDA error: out of memory"),
)
"""What PyTorch and NVIDIA's libraries say where memory is full, or limited; no class of errors stands for it."""
_NO_ENGINE: Final = "unable to find an engine to execute this computation"
"""What cuDNN says where there is no room to compute in; and where it has no such computation."""
_LITTLE: Final = 0.05
"""Share of a GPU's memory; cuDNN's complaint with more than that free has another cause."""


def is_shortage(error: RuntimeError) -> bool:
    """Return whether an error of PyTorch says that there was not enough memory, on a GPU or a processor."""
    said = str(error)
    if isinstance(error, torch.OutOfMemoryError) or any(words in said for words in _SAID):
        return True
    return _NO_ENGINE in said and _nearly_full()


def _nearly_full() -> bool:
    if not torch.cuda.is_available():
        return False
    free, total = torch.cuda.mem_get_info()
    return free < _LITTLE * total
