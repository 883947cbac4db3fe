"""The first load of a bundle of unknown origin, in a process of its own that can be ended."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import BundleError
from torchstone_runtime.system.load_deadline import DEFAULT_SECONDS

_PROGRAM: Final = (
    "import sys; from torchstone_runtime.cli.main import main; "
    "main(['verify', sys.argv[1]])"
)  # fmt: skip


def check_in_own_process(path: str | os.PathLike[str], seconds: float = DEFAULT_SECONDS) -> None:
    """Verify a bundle (hashes, and golden samples on every variant) in another process, which ends at the latest then.

    A model that never answers, or brings ONNX Runtime down, costs this process nothing.

    Args:
        path: directory of a bundle, or the name of a built-in one.
        seconds: bound on the whole check.

    Raises:
        BundleError: it did not pass, or did not end in time; with what `torchstone verify` says.
    """
    command = [sys.executable, "-c", _PROGRAM, os.fspath(path)]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise BundleError(f"{Path(path)} was not verified within {seconds:g} s; its process was ended.") from error
    if result.returncode != 0:
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()
        raise BundleError(f"{Path(path)} did not pass: {said[0] if said else f'exit code {result.returncode}'}")
