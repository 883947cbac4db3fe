"""Processor, threads, memory and Python of this process."""

import os
import platform
import sys
import sysconfig
from pathlib import Path
from typing import Final

from torchstone_runtime.doctor.finding import Finding
from torchstone_runtime.system.container import cpu_quota, memory_limit
from torchstone_runtime.system.cpu import BF16_FEATURES, affinity, cpuinfo_fields, usable_cpus
from torchstone_runtime.system.memory import MachineMemory

_FEATURES: Final[dict[str, tuple[str, ...]]] = {
    "AVX2": ("avx2",),
    "AVX512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "AMX": ("amx_int8", "amx_tile"),
    "bf16": BF16_FEATURES,
    "NEON dot product": ("asimddp",),
    "i8mm": ("i8mm",),
    "SVE": ("sve",),
}
"""Linux's flags by the names that people use; x86 and ARM."""
_ARM: Final = ("NEON dot product", "i8mm", "SVE", "bf16")
_INT8: Final = ("VNNI", "AMX", "NEON dot product", "i8mm")
_GIB: Final = 1 << 30


def check_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> Finding:
    """Report the processor and which of its instructions matter here."""
    fields = cpuinfo_fields(cpuinfo)
    if not fields:
        return Finding("cpu", "ok", f"{platform.machine()}; its features are not known on this system")
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    arm = "Features" in fields
    names = [name for name in _FEATURES if (name in _ARM if arm else name not in _ARM or name == "bf16")]
    features = {name: not flags.isdisjoint(_FEATURES[name]) for name in names}
    model = fields.get("model name") or platform.machine()
    has = ", ".join(name for name, there in features.items() if there) or "none of them"
    lacks = ", ".join(name for name, there in features.items() if not there)
    summary = f"{model}: {has}" + (f"; not {lacks}" if lacks else "")
    if not any(features.get(name) for name in _INT8):
        summary += " (int8 models gain little without VNNI, AMX or dot products)"
    return Finding("cpu", "ok", summary, details={"model": model, "features": features})


def check_threads() -> Finding:
    """Report how many processors there are, how many may be used, and so how many threads run."""
    quota = cpu_quota()
    details = {"processors": os.cpu_count(), "affinity": affinity(), "quota": quota, "threads": usable_cpus()}
    limit = "no CPU quota" if quota is None else f"a CPU quota of {quota:g}"
    summary = f"{usable_cpus()} threads: {os.cpu_count()} processors, {affinity()} in the affinity mask, {limit}"
    return Finding("threads", "ok", summary, details=details)


def check_memory(meminfo: Path = Path("/proc/meminfo")) -> Finding:
    """Report the machine's memory and the container's limit."""
    machine, limit = MachineMemory.read(meminfo), memory_limit()
    total, available = machine.total, machine.available
    known = [f"{total / _GIB:.1f} GiB" if total else "not known"]
    known += [f"{available / _GIB:.1f} GiB available"] if available else []
    known += [f"this container may use {limit / _GIB:.1f} GiB" if limit is not None else "no container limit"]
    details = {"total": total, "available": available, "limit": limit}
    return Finding("memory", "ok", ", ".join(known), details=details)


def check_python() -> Finding:
    """Report the interpreter."""
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    version = platform.python_version()
    summary = f"{platform.python_implementation()} {version}{', free-threaded' if free_threaded else ''}, "
    summary += f"{platform.system()} {platform.machine()}, {sys.executable}"
    details = {"version": version, "executable": sys.executable, "free_threaded": free_threaded}
    return Finding("python", "ok", summary, details=details)
