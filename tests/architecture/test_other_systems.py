import subprocess
import sys

import pytest

IMPORT_EVERYTHING = """
import asyncio, importlib, multiprocessing, os, pkgutil, subprocess, sys
if len(sys.argv) > 2:
    import matplotlib.pyplot, onnx, onnxscript, safetensors.torch, sklearn.manifold, torch, torchvision, tqdm
import click, cryptography, numpy, onnxruntime, PIL.Image, starlette.applications, tempfile, urllib.request, uvicorn
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
missing = ["sched_getaffinity"]
if sys.argv[1] == "win32":
    missing += ["O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "fork", "register_at_fork", "geteuid", "getuid", "uname"]
sys.platform = sys.argv[1]
for name in missing:
    delattr(os, name) if hasattr(os, name) else None
if sys.argv[1] == "darwin":
    del sys.modules["fcntl"], sys.modules["resource"]
for package in sys.argv[2:] or ("torchstone", "torchstone_runtime"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_every_runtime_module_can_be_imported(platform: str) -> None:
    """Without what only Linux has: modules and names of `os` that the system lacks are taken away."""
    pytest.importorskip("uvicorn")
    subprocess.run([sys.executable, "-c", IMPORT_EVERYTHING, platform], check=True, timeout=120)


@pytest.mark.slow
def test_every_module_for_training_and_export_can_be_imported_on_windows() -> None:
    """PyTorch and the others are loaded before; what Windows lacks beside what macOS does is taken away."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    command = [sys.executable, "-c", IMPORT_EVERYTHING, "win32", "torchstone_train", "torchstone_export"]
    subprocess.run(command, check=True, timeout=240)
