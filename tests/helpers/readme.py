"""The examples of the README and of the first tutorial, read and run."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helpers.support import run_torchstone

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_MODEL = (ROOT / "docs" / "tutorial" / "first-model.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (.*?) -->\n```(\w+)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A command, or a Python program, with the lines that are shown below it."""

    session: str
    command: str
    shown: tuple[str, ...]


def examples() -> Iterator[Example]:
    """Read the marked code blocks of both pages."""
    for marker, language, text in BLOCK.findall(README) + BLOCK.findall(FIRST_MODEL):
        kind, _, session = marker.partition(": ")
        if kind != "session":
            continue
        if language == "python":
            yield Example(session, text, ())
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            yield Example(session, command.partition(" #")[0], tuple(shown))


EXAMPLES = list(examples())


def masked(text: str) -> str:
    """Leave out what differs from machine to machine: numbers (a dot stands for 0), the padding, the best epoch."""
    numbers = re.sub(r"\d[\d,.]*|(?<!\S)\.(?!\S)", "#", re.sub(r"\bbest( so far)?$", "", text))
    return re.sub(r"\s+", " ", numbers).strip()


def check_output(example: Example, output: str) -> None:
    """Check that every line shown was printed, but for its numbers."""
    printed = {masked(line) for line in output.splitlines()}
    for line in example.shown:
        # The device line depends on the machine; what else is shown does not.
        if line.strip() and line != "..." and not line.startswith("device"):
            assert masked(line) in printed, f"{example.command}: the page shows {line!r}"


def run_session(name: str, folder: Path, env: dict[str, str] | None = None) -> None:
    """Run the examples of a session one after another in a folder, without a training's pictures."""
    for example in (item for item in EXAMPLES if item.session == name):
        if example.command.startswith("torchstone "):
            result = run_torchstone(*example.command.split()[1:], cwd=folder, env=env, timeout=1500)
        else:
            command = [sys.executable, "-c", example.command]
            result = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        assert result.returncode == 0, (example.command, result.stderr)
        check_output(example, result.stdout + result.stderr)
