"""CUDA versions of ONNX Runtime, PyTorch, the NVIDIA packages and the driver: do they fit together?"""

import re
from pathlib import Path
from typing import Any

from torchstone_runtime.doctor.distributions import Installed
from torchstone_runtime.doctor.finding import Finding


def check_cuda(packages: dict[str, Installed], probed: dict[str, Any], *, works: bool) -> Finding:
    """Compare the CUDA major versions.

    Args:
        packages: installed packages by normalised name.
        probed: findings of the probe: `import` and `driver`.
        works: whether a session on CUDA computes, whatever the versions say.
    """
    runtime = (probed.get("import") or {}).get("cuda")
    driver = probed.get("driver") or {}
    torch, nvidia, cudnn = torch_cuda(packages), nvidia_majors(packages), cudnn_packages(packages)
    details = {"onnxruntime": runtime, "torch": torch, "nvidia": nvidia, "cudnn": cudnn, "driver": driver}
    known = [f"ONNX Runtime {runtime or 'without CUDA'}", f"PyTorch {torch}" if torch else ""]
    known += [f"NVIDIA packages for {', '.join(map(str, nvidia))}" if nvidia else "", *cudnn]
    known += [f"driver for up to {driver['cuda']}" if driver.get("cuda") else "no NVIDIA driver"]
    summary = ", ".join(part for part in known if part)
    if runtime is None or works:
        return Finding("cuda", "ok", summary, details=details)
    major = _major(runtime)
    if driver.get("cuda") and _major(driver["cuda"]) < major:
        remedy = f"Update the NVIDIA driver to one for CUDA {major}, or install an onnxruntime-gpu that was built for "
        remedy += f"CUDA {_major(driver['cuda'])}."
        return Finding("cuda", "broken", f"the driver is too old for ONNX Runtime: {summary}", remedy, details)
    if nvidia and major not in nvidia:
        wheel = packages.get("onnxruntime-gpu")
        version = f"=={wheel.version}" if wheel else ""
        remedy = f"pip install 'onnxruntime-gpu[cuda,cudnn]{version}'"
        return Finding("cuda", "broken", f"the NVIDIA packages are of another CUDA: {summary}", remedy, details)
    if torch is not None and _major(torch) != major:
        note = f"PyTorch brings CUDA {_major(torch)}, which ONNX Runtime cannot use; it needs {major}: {summary}"
        return Finding("cuda", "note", note, details=details)
    return Finding("cuda", "ok", summary, details=details)


def torch_cuda(packages: dict[str, Installed]) -> str | None:
    """Return the CUDA version that the installed PyTorch was built for, read from its files and metadata."""
    torch = packages.get("torch")
    if torch is None:
        return None
    try:
        text = Path(str(torch.distribution.locate_file("torch/version.py"))).read_text(encoding="utf-8")
    except OSError:
        text = ""
    if stated := re.search(r"^cuda\b[^=]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE):
        return stated[1]
    required = " ".join(torch.distribution.requires or ())
    needed = re.search(r"nvidia-[a-z-]+-cu(\d+)", required)
    return needed[1] if needed else None


def nvidia_majors(packages: dict[str, Installed]) -> list[int]:
    """Return the CUDA majors for which NVIDIA's runtime libraries are installed as packages, in order.

    Up to CUDA 12 the major is in the name (`nvidia-cuda-runtime-cu12`), from 13 on it is the version's.
    """
    majors = set()
    for package in packages.values():
        if not package.name.startswith("nvidia-cuda-runtime"):
            continue
        suffix = re.search(r"-cu(\d+)$", package.name)
        majors.add(int(suffix[1]) if suffix else _major(package.version))
    return sorted(majors)


def cudnn_packages(packages: dict[str, Installed]) -> list[str]:
    """Return the installed cuDNN packages with their versions."""
    found = (package for package in packages.values() if package.name.startswith("nvidia-cudnn"))
    return [f"{package.name} {package.version}" for package in sorted(found, key=lambda package: package.name)]


def _major(version: str) -> int:
    digits = re.match(r"\d+", version)
    return int(digits[0]) if digits else 0
