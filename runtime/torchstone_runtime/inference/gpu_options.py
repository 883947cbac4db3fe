"""What is chosen for a GPU: TF32, CUDA graphs, and where TensorRT keeps the engines that it builds."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import OutputError, ProviderError, UsageError

ON_NVIDIA: Final = ("cuda", "tensorrt")
TF32_VARIABLE: Final = "NVIDIA_TF32_OVERRIDE"
"""At 0, NVIDIA's libraries never use TF32, whatever a program asks for."""

_OWNER_ONLY: Final = 0o700
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class GpuChoices:
    """What a session on a GPU may do.

    Attributes:
        tf32: compute float32 products with 10 bits of mantissa, which is faster; that error is larger than what the
            certificate measured.
        cuda_graphs: record each batch size once and replay it: fewer calls into the driver.
    """

    tf32: bool = False
    cuda_graphs: bool = False

    def check(self, provider: str) -> None:
        """Refuse choices that can have no effect on a provider asked for by name; `auto` may end on the CPU.

        Raises:
            UsageError: TF32 without an NVIDIA GPU, or CUDA graphs with another provider than `cuda`.
        """
        if self.tf32 and provider not in ("auto", *ON_NVIDIA):
            raise UsageError(
                f"TF32 is a format of NVIDIA's GPUs; the provider '{provider}' has none.", "Leave tf32 out."
            )
        if self.cuda_graphs and provider not in ("auto", "cuda"):
            raise UsageError(
                f"CUDA graphs are for the provider 'cuda', not for '{provider}'.", "Leave cuda_graphs out."
            )


def provider_options(provider: str, choices: GpuChoices, sha256: str) -> dict[str, str]:
    """Return ONNX Runtime's options of a provider.

    Args:
        provider: a name of Torchstone's.
        choices: of the user.
        sha256: of the model file: TensorRT's engines are kept by it.

    Raises:
        ProviderError: TensorRT would use TF32, which was not allowed.
        OutputError: there is no safe place for TensorRT's engines.
    """
    if provider == "cuda":
        graphs = {"enable_cuda_graph": "1"} if choices.cuda_graphs else {}
        return {"use_tf32": str(int(choices.tf32)), **graphs}
    if provider == "tensorrt":
        _require_stated_tf32(choices)
        cache = str(engine_cache(sha256, tf32=choices.tf32))
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


def _require_stated_tf32(choices: GpuChoices) -> None:
    # TensorRT's provider has no option for it (microsoft/onnxruntime issue 26029); NVIDIA's libraries read the
    # variable once, so that setting it here would come too late, or reach others in this process.
    if not choices.tf32 and os.environ.get(TF32_VARIABLE) != "0":
        raise ProviderError(
            "ONNX Runtime's TensorRT computes in TF32, which was not allowed.",
            f"Set {TF32_VARIABLE}=0 before the program starts, or allow it by name: --tf32, tf32=True.",
        )
