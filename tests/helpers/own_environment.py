"""An environment with a few packages more than this one has, which would have no place in it."""

import os
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]


def make_environment(folder: Path, *packages: str, dependencies: bool = True) -> None:
    """Make an environment in `folder` that sees this one's packages, and install others there.

    Args:
        folder: where it is made.
        packages: their names; constraints.txt has their versions.
        dependencies: whether what they require is installed too, where this environment has it not.
    """
    venv.create(folder)  # pip is among what it sees
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ["--quiet", "--constraint", str(_ROOT / "constraints.txt"), *([] if dependencies else ["--no-deps"])]
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", *options, *packages]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


def run_there(folder: Path, *arguments: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
    """Run a module or a program with the environment's Python, on the sources of this checkout."""
    paths = [str(_ROOT / part) for part in ("runtime", "tests")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [str(folder / "bin" / "python"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout, env=environment, cwd=folder
    )
