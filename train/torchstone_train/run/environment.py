"""With what a training ran: versions and the commit of the code around it."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("torchstone", "torch", "torchvision", "numpy", "pillow", "safetensors")


def versions() -> dict[str, str]:
    """Return the version of Python and of each package that decides the result."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}


def git_commit(folder: Path) -> str | None:
    """Return the commit checked out around `folder` (`-dirty` where files are changed), or None outside a checkout."""
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607 - the user's git
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None
