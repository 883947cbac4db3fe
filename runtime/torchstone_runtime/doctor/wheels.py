"""Is there one ONNX Runtime, and is it whole?"""

from torchstone_runtime.components import install_line
from torchstone_runtime.doctor.distributions import Installed, altered_files, runtime_wheels
from torchstone_runtime.doctor.finding import Finding

_SHOWN = 3


def check_wheels(packages: dict[str, Installed], *, driver: bool) -> Finding:
    """Check that one ONNX Runtime is installed and that its files are its own.

    Args:
        packages: installed packages by normalised name.
        driver: whether an NVIDIA driver answers, so that of two wheels the GPU's is to be kept.
    """
    wheels = runtime_wheels(packages)
    if not wheels:
        return Finding(
            "wheels",
            "note",
            "no ONNX Runtime is installed: predict, evaluate and verify need one",
            install_line("gpu" if driver else "cpu"),
        )
    stated = [f"{wheel.name} {wheel.version}" for wheel in wheels]
    altered = {wheel.name: altered_files(wheel) for wheel in wheels}
    details = {"wheels": {wheel.name: wheel.version for wheel in wheels}, "altered": altered}
    if len(wheels) > 1:
        return Finding(
            "wheels",
            "broken",
            f"{' and '.join(stated)} are both installed; they overwrite each other's files{_overwritten(altered)}",
            _reinstall_one(wheels, driver=driver),
            details,
        )
    (wheel,) = wheels
    if altered[wheel.name]:
        return Finding(
            "wheels",
            "broken",
            f"files of {stated[0]} are missing or were overwritten by another package: {_some(altered[wheel.name])}",
            f"pip install --force-reinstall --no-deps {wheel.name}=={wheel.version}",
            details,
        )
    return Finding("wheels", "ok", f"{stated[0]}, and its files are as they were installed", details=details)


def _overwritten(altered: dict[str, list[str]]) -> str:
    losers = [f"{name} has lost {_some(files)}" for name, files in altered.items() if files]
    return f" ({'; '.join(losers)})" if losers else ""


def _some(files: list[str]) -> str:
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return ", ".join(files[:_SHOWN]) + more


def _reinstall_one(wheels: list[Installed], *, driver: bool) -> str:
    preferred = "onnxruntime-gpu" if driver else "onnxruntime"
    kept = next((wheel for wheel in wheels if wheel.name == preferred), wheels[0])
    # Removing one takes files of the other with it: both must go before one comes back.
    names = " ".join(wheel.name for wheel in wheels)
    return f"pip uninstall --yes {names} && pip install {kept.name}=={kept.version}"
