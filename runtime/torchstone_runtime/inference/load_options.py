"""`LoadOptions`: how a model is loaded, in one object from the command line to the session."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from torchstone_runtime.errors import UsageError
from torchstone_runtime.inference.gpu_options import ON_NVIDIA
from torchstone_runtime.system.openvino import OPENVINO, Precision

Mode = Literal["auto", "latency", "throughput"]
BundleCheck = Literal["full", "hashes", "none"]
"""The checks of a bundle that is loaded: golden samples and hashes, hashes alone, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How a model is loaded. Every part that opens one takes this object; importing it loads no NumPy.

    Attributes:
        variant: model of the bundle, by name; its default one if None.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        threads: number of calls that run at once; the processors this process may use if None.
        mode: aim on the CPU: `latency`, calls of a single picture on all threads; `throughput`, as many
            pictures as possible; `auto`, which measures after a few calls whether single pictures gain.
        tf32: permission for a GPU to compute float32 products with 10 bits of mantissa, which is faster; that error
            is larger than what the certificate measured.
        cuda_graphs: permission for `cuda` to record each batch size once and replay it: fewer calls into the driver.
        precision: number format of the products. A bundle's variant that was certified in `bf16` sets it, with the
            provider; all others are computed in `fp32`.
        cpu_fallback: permission for nodes that the provider asked for by name cannot run to be run on the CPU.
        replay_golden: whether the golden samples are replayed.
        check_hashes: whether the SHA-256 of the files used is checked; their size always is.
        public_key: PEM file of the key whose signature is required; None for none.
        features: processor features by the Linux kernel's names; those of this machine if None.
    """

    variant: str | None = None
    provider: str = "auto"
    threads: int | None = None
    mode: Mode = "auto"
    tf32: bool = False
    cuda_graphs: bool = False
    precision: Precision = "fp32"
    cpu_fallback: bool = False
    replay_golden: bool = True
    check_hashes: bool = True
    public_key: str | os.PathLike[str] | None = None
    features: frozenset[str] | None = None

    def check(self) -> None:
        """Refuse what cannot be, or could have no effect; `auto` may end on the CPU.

        Raises:
            UsageError: `threads` below 1, a mode that there isn't, a signature without hashes, TF32 without an NVIDIA
                GPU, CUDA graphs with another provider than `cuda`, bfloat16 with another than `openvino`, or a
                fallback to the CPU from no other provider.
        """
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"threads must be at least 1, not {self.threads}.")
        if self.mode not in get_args(Mode):
            raise UsageError(f"mode is '{self.mode}'.", f"Give one of {', '.join(get_args(Mode))}.")
        if self.public_key is not None and not self.check_hashes:
            raise UsageError("A signature holds for a file through its hash.", "Leave check_hashes on.")
        if self.tf32 and self.provider not in ("auto", *ON_NVIDIA):
            raise UsageError(
                f"TF32 is a format of NVIDIA's GPUs; the provider '{self.provider}' has none.", "Leave tf32 out."
            )
        if self.cuda_graphs and self.provider not in ("auto", "cuda"):
            raise UsageError(
                f"CUDA graphs are for the provider 'cuda', not for '{self.provider}'.", "Leave cuda_graphs out."
            )
        if self.precision != "fp32" and self.provider != OPENVINO:
            raise UsageError(
                f"{self.precision} is computed by '{OPENVINO}', not by '{self.provider}'.", "Leave precision out."
            )
        if self.cpu_fallback and self.provider in ("auto", "cpu"):
            raise UsageError(
                f"cpu_fallback is for a provider asked for by name; with '{self.provider}' nothing falls back.",
                "Name the provider, or leave cpu_fallback out.",
            )

    def for_another_process(self, variant: str | None) -> "LoadOptions":
        """Return the same options with the variant that runs, paths made absolute and this processor's features out.

        Args:
            variant: name of the variant that was loaded; None for a lone file.
        """
        key = os.path.abspath(self.public_key) if self.public_key is not None else None  # noqa: PTH100 - a link stays one
        return replace(self, variant=variant, public_key=key, features=None)


ON_CPU: Final = LoadOptions(provider="cpu")
"""A model on the CPU, with everything else as usual."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a classifier came from and how: what is pickled of it.

    Attributes:
        path: absolute path of the bundle or the lone file.
        options: options that load the same variant again.
        sha256: hash of the model file.
    """

    path: Path
    options: LoadOptions
    sha256: str
