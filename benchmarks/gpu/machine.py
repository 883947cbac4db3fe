"""The card: what it is, what its vendor states, and the ceilings that a copy and a product of matrices reach on it."""

import platform
import subprocess
import time
from collections.abc import Callable
from functools import partial
from importlib import metadata
from typing import Any, Final

import torch

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from torchstone_runtime.system.machine import describe_machine

_DATASHEET: Final = "NVIDIA's data sheets of the H100 SXM and the H200 SXM, dense figures (half of those with sparsity)"
_HOPPER: Final = {"fp32": 67e12, "tf32": 494.5e12, "bf16": 989.5e12, "fp16": 989.5e12, "int8": 1979e12}
PEAKS: Final[dict[str, dict[str, float]]] = {
    "H100": {**_HOPPER, "bytes": 3.35e12},
    "H200": {**_HOPPER, "bytes": 4.8e12},
}
"""Operations and bytes per second that the vendor states, by a word of the card's name."""
_PACKAGES: Final = ("torch", "torchvision", "onnxruntime-gpu", "onnxruntime", "onnx", "onnxscript", "numpy", "tensorrt")
_PACKAGES_OF_CUDA: Final = ("nvidia-cudnn-cu13", "nvidia-cublas", "nvidia-cuda-runtime", "triton")
_REPEATS: Final = 10


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    return {"card": lambda: card(setting), "ceilings": lambda: ceilings(setting)}


def card(setting: Setting) -> dict[str, Any]:
    """Return the names and versions that every figure belongs to."""
    found: dict[str, Any] = {"machine": describe_machine(), "python": platform.python_version(), "versions": {}}
    for name in (*_PACKAGES, *_PACKAGES_OF_CUDA):
        try:
            found["versions"][name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found["versions"][name] = None
    if setting.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        cudnn: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        found |= {"card": properties.name, "memory": properties.total_memory, "cuda": torch.version.cuda}
        found |= {"multiprocessors": properties.multi_processor_count, "cudnn": cudnn}
        found["nvidia_smi"] = _said("nvidia-smi")
        found["stated"] = {"source": _DATASHEET, "peaks": peaks()}
    return found


def peaks() -> dict[str, float]:
    """Return what the vendor states of this card; nothing of one that isn't listed."""
    name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    return next((stated for word, stated in PEAKS.items() if word in name), {})


def ceilings(setting: Setting) -> dict[str, float]:
    """Return operations and bytes per second as they are reached here, on random numbers."""
    side, device = setting.size(8192, 64), setting.device
    source = torch.randint(0, 255, (setting.size(2 << 30, 1 << 12),), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    found = {"bytes": 2 * source.numel() / _seconds(setting, lambda: target.copy_(source))}
    operations = 2 * side**3
    first, second = torch.randn(2, side, side, device=device)
    for name, wide in (("fp32", "highest"), ("tf32", "high")):
        torch.set_float32_matmul_precision(wide)
        found[name] = operations / _seconds(setting, lambda: first @ second)
    torch.set_float32_matmul_precision("highest")
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        left, right = first.to(dtype), second.to(dtype)
        found[name] = operations / _seconds(setting, partial(torch.matmul, left, right))
    if device == "cuda":
        numbers = torch.randint(-127, 127, (2, side, side), dtype=torch.int8, device=device)
        # Its second factor has to lie column by column.
        found["int8"] = operations / _seconds(setting, lambda: torch._int_mm(numbers[0], numbers[1].t()))  # noqa: SLF001
    return found


def _seconds(setting: Setting, work: Callable[[], Any]) -> float:
    for _ in range(3):
        work()
    synchronize(setting)
    started = time.perf_counter()
    for _ in range(_REPEATS):
        work()
    synchronize(setting)
    return (time.perf_counter() - started) / _REPEATS


def synchronize(setting: Setting) -> None:
    """Wait until the device has done what it was given."""
    if setting.device == "cuda":
        torch.cuda.synchronize()


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
