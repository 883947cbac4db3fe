"""Options of ONNX Runtime's GPU providers: batch sizes, TF32, CUDA graphs, and where TensorRT keeps its engines."""

import math
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import OutputError, ProviderError

ON_NVIDIA: Final = ("cuda", "tensorrt")
TF32_VARIABLE: Final = "NVIDIA_TF32_OVERRIDE"
"""At 0, NVIDIA's libraries never use TF32, whatever a program asks for."""

BUCKETS: Final = (1, 4, 16, 64, 256, 1024)
_MAX_BUCKET_BYTES: Final = 32 << 20
"""Of uint8 pixels in one bucket; what the layers need grows with it, to many times that."""
_TUNED_FOR: Final = 64
"""Batch size that TensorRT tunes an engine for, which then runs every bucket; a cautious guess, not yet measured."""
_OWNER_ONLY: Final = 0o700
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def buckets_for(image_bytes: int) -> tuple[int, ...]:
    """Return the batch sizes for images of so many bytes, ascending; 1 is always one of them."""
    return tuple(bucket for bucket in BUCKETS if bucket == 1 or bucket * image_bytes <= _MAX_BUCKET_BYTES)


def tensorrt_profile(name: str, shape: Sequence[int]) -> dict[str, str]:
    """Return the options with which TensorRT builds one engine for every bucket, when a session is opened.

    Left alone, it builds an engine for the first batch that it sees, and another one whenever a larger or smaller one
    comes. There is one profile for all: of several, ONNX Runtime builds all and runs the first (its pull request
    31624).

    Args:
        name: name of the model's only input.
        shape: shape of one image (C, H, W).
    """
    largest = buckets_for(math.prod(shape))[-1]
    sizes = {"min": 1, "opt": min(_TUNED_FOR, largest), "max": largest}
    row = "x".join(str(length) for length in shape)
    return {f"trt_profile_{kind}_shapes": f"{name}:{size}x{row}" for kind, size in sizes.items()}


def provider_options(provider: str, sha256: str, *, tf32: bool = False, cuda_graphs: bool = False) -> dict[str, str]:
    """Return ONNX Runtime's options of a provider.

    Args:
        provider: a name of Torchstone's.
        sha256: hash of the model file, by which TensorRT's engines are kept.
        tf32: permission to compute in TF32, see `LoadOptions`.
        cuda_graphs: permission to record CUDA graphs, see `LoadOptions`.

    Raises:
        ProviderError: TensorRT would use TF32, which was not allowed.
        OutputError: there is no safe place for TensorRT's engines.
    """
    if provider == "cuda":
        graphs = {"enable_cuda_graph": "1"} if cuda_graphs else {}
        return {"use_tf32": str(int(tf32)), **graphs}
    if provider == "tensorrt":
        _require_stated_tf32(tf32=tf32)
        cache = str(engine_cache(sha256, tf32=tf32))
        return {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": cache,
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": cache,
        }
    return {}


def engine_cache(sha256: str, *, tf32: bool) -> Path:
    """Return the folder for TensorRT's engines of a model, made if need be: only its owner can write there.

    An engine is read back as code is, and an engine that was built with TF32 stays one.

    Raises:
        OutputError: it cannot be made, is a link, belongs to someone else, or others can write to it.
    """
    stated = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(stated) if os.path.isabs(stated) else Path.home() / ".cache"  # noqa: PTH117 - "" is no path
        base.mkdir(parents=True, exist_ok=True)
        folder = base
        for part in ("torchstone", "tensorrt", f"{sha256}{'-tf32' if tf32 else ''}"):
            folder /= part
            folder.mkdir(mode=_OWNER_ONLY, exist_ok=True)
            _require_own(folder)
    except (OSError, RuntimeError) as error:
        raise OutputError(
            f"There is no place for the engines that TensorRT builds: {error}.",
            "Set XDG_CACHE_HOME to a folder of your own, or use --provider cuda.",
        ) from error
    return folder


def _require_own(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"{folder} is not a folder")
    if hasattr(os, "geteuid") and (found.st_uid != os.geteuid() or found.st_mode & _WRITABLE_BY_OTHERS):
        raise OSError(f"others can write to {folder}")


def _require_stated_tf32(*, tf32: bool) -> None:
    # TensorRT's provider has no option for it (microsoft/onnxruntime issue 26029); NVIDIA's libraries read the
    # variable once, so that setting it here would come too late, or reach others in this process.
    if not tf32 and os.environ.get(TF32_VARIABLE) != "0":
        raise ProviderError(
            "ONNX Runtime's TensorRT computes in TF32, which was not allowed.",
            f"Set {TF32_VARIABLE}=0 before the program starts, or allow it by name: --tf32, tf32=True.",
        )
