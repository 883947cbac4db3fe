"""Machines with parts of a GPU's software: an ONNX Runtime that says it has CUDA, and a driver made of a few lines."""

import shutil
import subprocess
from pathlib import Path

import onnxruntime as ort
import pytest

_REAL = Path(ort.__file__).parent
_SAYS_CUDA = """
def get_available_providers(_real=get_available_providers):
    return ["TensorrtExecutionProvider", "CUDAExecutionProvider", *_real()]
cuda_version = "13.0"
"""
_DRIVER = """
int cuInit(unsigned flags) {{ return {init}; }}
int cuDriverGetVersion(int *version) {{ *version = {version}; return 0; }}
int cuDeviceGetCount(int *count) {{ *count = {devices}; return 0; }}
"""


def write_wheel(site: Path, name: str, version: str) -> None:
    """Write what pip leaves of an installed package."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def write_gpu_runtime(site: Path) -> None:
    """Write an ONNX Runtime that lists CUDA and TensorRT but makes sessions on the CPU, as one that lacks libraries."""
    capi = site / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    for folder, target in ((_REAL, capi.parent), (_REAL / "capi", capi)):
        for entry in folder.iterdir():
            if entry.name not in ("capi", "__pycache__", "__init__.py"):
                (target / entry.name).symlink_to(entry)
    (capi / "__init__.py").write_text((_REAL / "capi" / "__init__.py").read_text())
    (capi.parent / "__init__.py").write_text((_REAL / "__init__.py").read_text() + _SAYS_CUDA)


def build_provider(site: Path, provider: str, missing: list[str]) -> None:
    """Build a provider's library that needs libraries which are then taken away."""
    built = site.parent / "built"
    built.mkdir(exist_ok=True)
    (built / "empty.c").write_text("int nothing(void) { return 0; }\n")
    shared = [_compiler(), "-shared", "-fPIC", "-Wl,--no-as-needed"]
    for name in missing:
        subprocess.run([*shared, f"-Wl,-soname,{name}", built / "empty.c", "-o", built / name], check=True)
    target = site / "onnxruntime" / "capi" / f"libonnxruntime_providers_{provider}.so"
    libraries = [built / name for name in missing]
    subprocess.run([*shared, built / "empty.c", *libraries, "-o", target], check=True)
    for path in libraries:
        path.unlink()


def build_driver(folder: Path, *, version: int, devices: int, init: int = 0) -> None:
    """Build a `libcuda.so.1` that serves a CUDA version (13000 is 13.0), has some devices, and gives `init`."""
    folder.mkdir()
    (folder / "driver.c").write_text(_DRIVER.format(version=version, devices=devices, init=init))
    subprocess.run([_compiler(), "-shared", "-fPIC", folder / "driver.c", "-o", folder / "libcuda.so.1"], check=True)


def _compiler() -> str:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no gcc")
    return compiler
