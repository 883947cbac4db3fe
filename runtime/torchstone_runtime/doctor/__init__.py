"""`torchstone doctor`: is this installation sound, and what can it do here?

Nothing is imported that may be broken: packages are judged by their metadata, libraries and sessions by a process
that tries them.
"""

from torchstone_runtime.components import install_line
from torchstone_runtime.doctor.cuda import check_cuda
from torchstone_runtime.doctor.distributions import installed_packages, runtime_wheels
from torchstone_runtime.doctor.finding import Finding
from torchstone_runtime.doctor.installed_parts import check_parts
from torchstone_runtime.doctor.machine import check_cpu, check_memory, check_python, check_threads
from torchstone_runtime.doctor.picture_resizing import check_resizing
from torchstone_runtime.doctor.probe_findings import (
    check_ceilings,
    check_import,
    check_libraries,
    check_providers,
    computes,
    run_probe,
)
from torchstone_runtime.doctor.provider_speed import check_speed
from torchstone_runtime.doctor.wheels import check_wheels

__all__ = ["Finding", "check_installation"]


def check_installation() -> list[Finding]:
    """Run every check and return what each found."""
    packages = installed_packages()
    probed = run_probe()
    driver = bool((probed.get("driver") or {}).get("devices"))
    findings = [check_python(), check_parts(packages), check_wheels(packages, driver=driver)]
    if runtime_wheels(packages) or "error" not in (probed.get("import") or {"error": ""}):
        findings += [check_import(probed), check_libraries(probed), *check_providers(probed)]
        findings += [speed] if (speed := check_speed(probed)) else []
        findings += [ceilings] if (ceilings := check_ceilings(probed)) else []
    findings += [resizing] if (resizing := check_resizing(probed)) else []
    findings += [check_cuda(packages, probed, works=computes(probed, "cuda"))]
    return [*findings, _check_gpu(probed), check_cpu(), check_threads(), check_memory()]


def _check_gpu(probed: dict[str, dict[str, object]]) -> Finding:
    driver = probed.get("driver") or {"devices": 0, "error": "not tried"}
    built = (probed.get("import") or {}).get("cuda")
    if not driver["devices"]:
        return Finding("gpu", "ok" if not built else "note", "no NVIDIA GPU can be used", details=driver)
    summary = f"{driver['devices']} NVIDIA GPU(s), driver for CUDA up to {driver['cuda']}"
    if built:
        return Finding("gpu", "ok", summary, details=driver)
    remedy = f"To use it: pip uninstall --yes onnxruntime && {install_line('gpu')}"
    return Finding("gpu", "note", f"{summary}, but this ONNX Runtime has no CUDA provider", remedy, driver)
