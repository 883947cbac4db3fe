"""Why a provider is not available here, in words: the wheel, the driver, the libraries, their CUDA version.

Only imported where something has failed: it asks the doctor, which starts a process.
"""

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from torchstone_runtime.components import install_line
from torchstone_runtime.doctor.cuda import check_cuda
from torchstone_runtime.doctor.distributions import Installed, installed_packages, runtime_wheels
from torchstone_runtime.doctor.probe_findings import remedy_for_libraries, run_probe
from torchstone_runtime.doctor.wheels import check_wheels
from torchstone_runtime.errors import ProviderError
from torchstone_runtime.inference.gpu_options import ON_NVIDIA
from torchstone_runtime.system.nvidia_driver import DRIVER_LIBRARY, ask_driver

_WHEELS: Final = {"cuda": "onnxruntime-gpu", "tensorrt": "onnxruntime-gpu", "openvino": "onnxruntime-openvino"}
_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is missing, and what brings it."""

    problem: str
    remedy: str


def not_built_in(provider: str, available: list[str]) -> ProviderError:
    """Return the error for a provider that the installed ONNX Runtime does not have.

    Args:
        provider: a name of Torchstone's.
        available: the names of those that it has.
    """
    packages = installed_packages()
    wheels = runtime_wheels(packages)
    installed = " and ".join(f"{wheel.name} {wheel.version}" for wheel in wheels) or "an ONNX Runtime of its own"
    driver = ask_driver() if provider in ON_NVIDIA else None
    overwritten = check_wheels(packages, driver=provider in ON_NVIDIA)
    problem = f"The provider '{provider}' is not part of the installed ONNX Runtime ({installed}), "
    problem += f"which has: {', '.join(available)}. "
    if _WHEELS.get(provider) in [wheel.name for wheel in wheels] and overwritten.status == "broken":
        problem += overwritten.summary[0].upper() + overwritten.summary[1:]
        remedies = [f"{overwritten.remedy}."]
    else:
        problem += f"Missing: {_wheel_text(provider)}"
        remedies = [_wheel_remedy(provider, wheels)]
    if driver is not None and not driver["devices"]:
        cause = _driver_cause(driver)
        problem += f"; {cause.problem}"
        remedies.append(cause.remedy)
    remedies.append(f"Or use --provider {available[0] if available else 'auto'}.")
    return ProviderError(f"{problem}.", " ".join(remedies))


def left_to_cpu(provider: str, operators: list[str]) -> ProviderError:
    """Return the error for a model of which the provider cannot run every node.

    Args:
        provider: a name of Torchstone's.
        operators: types of the nodes that would run on the CPU, one a node.
    """
    said = ", ".join(f"{count} {name}" for name, count in Counter(operators).items())
    return ProviderError(
        f"The provider '{provider}' cannot run every node of this model; it leaves to the CPU: {said}.",
        "Use another variant of the bundle, or --provider cpu; or allow it: --cpu-fallback, cpu_fallback=True.",
    )


def does_not_work(provider: str, said: str) -> ProviderError:
    """Return the error for a provider that is built in but makes no session.

    Args:
        provider: a name of Torchstone's.
        said: message of ONNX Runtime.
    """
    found = _find_causes(provider)
    if not found:
        return ProviderError(
            f"The provider '{provider}' cannot run this model: {said}",
            "'torchstone doctor' tries this installation out. Or use --provider cpu.",
        )
    missing = "; ".join(cause.problem for cause in found)
    remedies = list(dict.fromkeys(f"{cause.remedy.rstrip('.')}." for cause in found if cause.remedy))
    return ProviderError(
        f"The provider '{provider}' does not work here. Missing: {missing}.",
        " ".join([*remedies, "'torchstone doctor' shows all of it. Or use --provider cpu."]),
    )


def _find_causes(provider: str) -> list[Cause]:
    if not sys.executable:  # inside a program that embeds Python
        return []
    try:
        return causes(provider, installed_packages(), run_probe())
    except (OSError, subprocess.SubprocessError):
        return []


def causes(provider: str, packages: dict[str, Installed], probed: dict[str, Any]) -> list[Cause]:
    """Return what is missing for a provider, most fundamental first.

    Args:
        provider: a name of Torchstone's.
        packages: installed packages by normalised name.
        probed: findings of the doctor's probe.
    """
    driver = probed.get("driver") or {"devices": 0, "error": "it was not asked"}
    found = []
    wheels = check_wheels(packages, driver=provider in ON_NVIDIA)  # keeps the wheel that was asked for
    if wheels.status == "broken":
        found.append(Cause(wheels.summary, wheels.remedy))
    if provider in ON_NVIDIA and not driver["devices"]:
        found.append(_driver_cause(driver))
    found += _library_causes(provider, probed)
    versions = check_cuda(packages, probed, works=False)
    if provider in ON_NVIDIA and versions.status == "broken":
        found.append(Cause(versions.summary, versions.remedy))
    return found


def _driver_cause(driver: dict[str, Any]) -> Cause:
    if "error" in driver:
        return Cause(
            f"the NVIDIA driver ({driver['error']})", "Install the NVIDIA driver, or start the container with its GPU."
        )
    return Cause(
        "an NVIDIA GPU (the driver sees none)", "Start the container with its GPU, and look at CUDA_VISIBLE_DEVICES."
    )


def _library_causes(provider: str, probed: dict[str, Any]) -> list[Cause]:
    built_for = (probed.get("import") or {}).get("cuda")
    found = []
    for entry in probed.get("libraries", []):
        if not entry["library"].startswith(f"libonnxruntime_providers_{provider}."):
            continue
        names = [name for name in entry["missing"] if name != DRIVER_LIBRARY]
        if not names:
            continue
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        text = f"libraries that {entry['library']} needs: {', '.join(names[:_SHOWN])}{more}"
        text += f" (it was built for CUDA {built_for})" if provider in ON_NVIDIA and built_for else ""
        found.append(Cause(text, _library_remedy(entry, names)))
    return found


def _library_remedy(entry: dict[str, Any], names: list[str]) -> str:
    tensorrt = [name for name in names if name.startswith(("libnvinfer", "libnvonnxparser"))]
    others = {name: entry["missing"][name] for name in names if name not in tensorrt}
    remedies = [remedy_for_libraries({entry["library"]: others})] if others else []
    if tensorrt:
        remedies.append("install NVIDIA's TensorRT where the loader finds it (LD_LIBRARY_PATH)")
    return "; ".join(remedies)


def _wheel_text(provider: str) -> str:
    return f"the wheel {_WHEELS[provider]}" if provider in _WHEELS else f"a wheel with '{provider}'"


def _wheel_remedy(provider: str, wheels: list[Installed]) -> str:
    names = " ".join(wheel.name for wheel in wheels) or "onnxruntime"
    extras = {"cuda": "gpu", "tensorrt": "gpu", "openvino": "openvino"}
    wanted = install_line(extras[provider]) if provider in extras else "pip install onnxruntime"
    return f"Install it: pip uninstall --yes {names}, then {wanted}."
