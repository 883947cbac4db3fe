"""Is there one ONNX Runtime, and is it whole?"""

import sys
from pathlib import Path

from torchstone_runtime.components import install_line
from torchstone_runtime.doctor.distributions import Installed, altered_files, package_folder, runtime_wheels
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
    if len(wheels) > 1 and _are_apart(wheels) and not any(altered.values()):
        return _apart(wheels, stated, details)
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


def _are_apart(wheels: list[Installed]) -> bool:
    folders = {package_folder(wheel) for wheel in wheels}
    return len(folders) == len(wheels) and all((folder / "onnxruntime" / "__init__.py").is_file() for folder in folders)


def _apart(wheels: list[Installed], stated: list[str], details: dict[str, object]) -> Finding:
    """Return what is said of wheels in folders of their own, of which Python imports one."""
    used = min(wheels, key=lambda wheel: _place_on_path(package_folder(wheel)))
    summary = f"{' and '.join(stated)} are both installed, each whole in a folder of its own; {used.name} is imported"
    others = " ".join(wheel.name for wheel in wheels if wheel is not used)
    return Finding("wheels", "note", summary, f"pip uninstall --yes {others}, where nothing else needs it", details)


def _place_on_path(folder: Path) -> int:
    places = [Path(entry).resolve() for entry in sys.path]
    return places.index(folder) if folder in places else len(places)


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
