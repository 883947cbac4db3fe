"""The processors that this process may use, and what they can do, by the names of the Linux kernel."""

import math
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from torchstone_runtime.system.container import cpu_quota

_CPUINFO: Final = Path("/proc/cpuinfo")
INT8_FEATURES: Final = ("asimddp", "avx512_vnni", "avx_vnni")
"""One of these makes int8 multiply-and-add exact and fast in ONNX Runtime: dot products of 8-bit numbers into 32 bits,
on x86-64 (AVX-512 VNNI, AVX-VNNI) and arm64 (ASIMD dot product). Without one, x86-64 adds pairs of products in 16
bits, which saturate where 8-bit weights meet large activations."""
BF16_FEATURES: Final = ("avx512_bf16", "amx_bf16", "bf16")
"""One of these multiplies bfloat16 in hardware, on x86-64 and arm64; without one it is slower than float32."""
REPORTED: Final = (*INT8_FEATURES, "amx_int8", "avx2", "avx512f", "i8mm")
"""What a certificate records, where present."""


def affinity() -> int:
    """Return how many processors the affinity mask lets this process run on (on systems without masks: all)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cpus() -> int:
    """Return the processors of the affinity mask, or fewer where the container's CPU quota is smaller; at least 1.

    The host's core count, which ONNX Runtime uses by default, oversubscribes a container many times over
    (microsoft/onnxruntime issue 8313). A quota of 1.2 processors counts as 2.
    """
    quota = cpu_quota()
    return max(1, affinity() if quota is None else min(affinity(), math.ceil(quota)))


def cpu_features(cpuinfo: Path = _CPUINFO) -> frozenset[str]:
    """Return the feature flags of the processor; empty where the system does not tell.

    Linux lists them in `/proc/cpuinfo` (`flags` on x86, `Features` on arm64). Every Apple processor has `asimddp`.
    """
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return frozenset({"asimddp", "i8mm"})
    fields = cpuinfo_fields(cpuinfo)
    return frozenset((fields.get("flags") or fields.get("Features") or "").split())


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """Return the processor's name, or its architecture where the system doesn't tell."""
    return cpuinfo_fields(cpuinfo).get("model name") or platform.processor() or platform.machine()


def cpuinfo_fields(cpuinfo: Path) -> dict[str, str]:
    """Return the fields of the first processor; none where the file can't be read."""
    try:
        first, _, _ = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def missing_features(required: Iterable[str], present: frozenset[str]) -> str:
    """Return "" where nothing is required or one of the required features is present, else what is missing."""
    wanted = sorted(required)
    if not wanted or not present.isdisjoint(wanted):
        return ""
    return f"this processor has none of {', '.join(wanted)}"
