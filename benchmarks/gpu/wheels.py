"""Wheels and data for a machine that reaches nothing and takes 64 MiB a call: cut here, joined and installed there.

Here:   python -m benchmarks.gpu.wheels cut FOLDER_OF_WHEELS [--into .gpu]
There:  python -m benchmarks.gpu.wheels take .gpu/wheels-N        (in each call: keeps what came)
        python -m benchmarks.gpu.wheels install                   (once all have come)

`cut` makes `.gpu/wheels-0`, `.gpu/wheels-1` and so on, each small enough to travel with the repository, and a list of
the SHA-256 of every wheel, which `install` checks. It installs into the very folder of PyTorch's packages: ONNX Runtime
looks for CUDA's libraries beside itself (`preload_dlls`), and finds none from a folder of its own.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 44 << 20
"""With the repository's 11 MiB under 64 MiB, and room for what else a call carries."""
KEPT: Final = Path("/tmp/gpu-wheels")  # noqa: S108 - a machine of one's own, gone afterwards
_LIST: Final = "wheels.json"
_PART: Final = ".part"


def cut(wheels: Path, into: Path, size: int = PIECE_BYTES) -> list[Path]:
    """Cut all wheels of a folder, the small ones first, into folders of at most `size` bytes; return these."""
    files = sorted(wheels.glob("*.whl"), key=lambda file: (file.stat().st_size, file.name))
    listed = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    shutil.rmtree(into, ignore_errors=True)
    folders: list[Path] = []
    room = 0
    for file in files:
        content, number = file.read_bytes(), 0
        while content:
            if room == 0:
                folders.append(into / f"wheels-{len(folders)}")
                folders[-1].mkdir(parents=True)
                room = size
            (folders[-1] / f"{file.name}{_PART}{number:03}").write_bytes(content[:room])
            room, content, number = room - len(content[:room]), content[room:], number + 1
    for folder in folders:
        (folder / _LIST).write_text(json.dumps(listed, indent=1))
    return folders


def take(folder: Path, kept: Path = KEPT) -> None:
    """Keep the pieces of a folder, which the next call may replace."""
    kept.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        shutil.copy(file, kept)


def join(kept: Path = KEPT) -> list[Path]:
    """Put the wheels together again, and return them.

    Raises:
        SystemExit: pieces are missing; the message names the wheels.
    """
    listed: dict[str, str] = json.loads((kept / _LIST).read_text())
    incomplete, joined = [], []
    for name, sha256 in listed.items():
        content = b"".join(part.read_bytes() for part in sorted(kept.glob(f"{name}{_PART}*")))
        if hashlib.sha256(content).hexdigest() != sha256:
            incomplete.append(name)
            continue
        joined.append(kept / name)
        joined[-1].write_bytes(content)
    if incomplete:
        raise SystemExit(f"Pieces of {', '.join(incomplete)} have not come yet: carry them, and `take` them.")
    return joined


def install(wheels: list[Path]) -> None:
    """Install wheels in the place of the ONNX Runtime for CPUs, whose files theirs would overwrite."""
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "uninstall", "--yes", "--quiet", "onnxruntime"], check=True)
    options = ["--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--quiet"]
    subprocess.run([*pip, "install", *options, *map(str, wheels)], check=True)


def main() -> None:
    """Cut, take or install."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("cut", "take", "install"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--into", type=Path, default=Path(".gpu"))
    asked = parser.parse_args()
    if asked.action == "install":
        install(join())
    elif asked.folder is None:
        parser.error(f"{asked.action} needs a folder")
    elif asked.action == "take":
        take(asked.folder)
    else:
        for folder in cut(asked.folder, asked.into):
            size = sum(file.stat().st_size for file in folder.iterdir())
            print(f"{folder}: {size / (1 << 20):.1f} MiB")


if __name__ == "__main__":
    main()
