"""Every example of docs/reference/python.md runs and prints what the page shows."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.inference.classifier import Classifier

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```\n(?:```\n(.*?)^```\n)?", PAGE, re.MULTILINE | re.DOTALL)
PRELUDE = "from torchstone_runtime import Classifier\n"


@pytest.fixture(scope="module")
def folder(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples use: `quickstart/bundle`, and the clearest seven, three and four as PNG files."""
    made = tmp_path_factory.mktemp("page")
    (made / "quickstart").mkdir()
    (made / "quickstart" / "bundle").symlink_to(digits_bundle)
    digits = load_digits()
    images = digits.store.read(np.arange(len(digits)))
    with Classifier.load(digits_bundle) as classifier:
        probabilities = classifier.predict(images).probabilities
    for name, digit in (("seven", 7), ("three", 3), ("four", 4)):
        best = int(np.argmax(np.where(digits.labels == digit, probabilities[:, digit], 0)))
        Image.fromarray(images[best, 0]).save(made / f"{name}.png")
    return made


def masked(text: str) -> str:
    """Leave out what differs from machine to machine: measured numbers, threads, why a provider was chosen."""
    text = re.sub(r"\d+\.\d{2,}", "#", text)
    return re.sub(r"on \w+ \(.*?\), \d+ threads?", "on a provider", text)


def printed_by(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a program in `folder`: here, or in a process of its own if it starts others."""
    if "__main__" in program:
        (folder / "program.py").write_text(program)
        command = [sys.executable, "program.py"]
        return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True, timeout=120).stdout
    monkeypatch.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(PRELUDE + program, "docs/reference/python.md", "exec"), {"__name__": "example"})  # noqa: S102 - our own page
    return output.getvalue()


@pytest.mark.parametrize("index", range(len(EXAMPLES)))
def test_an_example_prints_what_the_page_shows(folder: Path, index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for measured numbers."""
    program, shown = EXAMPLES[index]
    assert masked(printed_by(program, folder, monkeypatch)) == masked(shown)


def test_the_page_has_examples_with_output() -> None:
    """The pattern above has found them all."""
    assert len(EXAMPLES) == PAGE.count("```python") > 9
    assert all(shown for _, shown in EXAMPLES)
