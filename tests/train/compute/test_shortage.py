"""What a full memory is told by."""

import pytest
import torch

from torchstone_train.compute.shortage import is_shortage

NO_ENGINE = "GET was unable to find an engine to execute this computation"


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_a_full_memory_is_known_by_its_words(said: str) -> None:
    """Only PyTorch's own allocator for GPUs has a class of errors for it."""
    assert is_shortage(RuntimeError(said))


@pytest.mark.parametrize(("free", "shortage"), [(1, True), (50, False)])
def test_cudnn_without_an_engine_is_a_shortage_only_where_little_is_free(
    monkeypatch: pytest.MonkeyPatch, free: int, shortage: bool
) -> None:
    """It says the same of a computation that it doesn't have."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 100))
    assert is_shortage(RuntimeError(NO_ENGINE)) is shortage
