"""Options of ONNX Runtime's GPU providers: TF32, CUDA graphs, and where TensorRT keeps the engines that it builds."""

import os
import stat
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import OutputError, ProviderError

ON_NVIDIA: Final = ("cuda", "tensorrt")
TF32_VARIABLE: Final = "NVIDIA_TF32_OVERRIDE"
"""At 0, NVIDIA's libraries never use TF32, whatever a program asks for."""

_OWNER_ONLY: Final = 0o700
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


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
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": cache,
            "trt_timing_cache_enable": "1",
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
        raise OSError(f"{folder} is no folder")
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
