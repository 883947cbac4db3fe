"""Every command of the README and of docs/tutorial/first-model.md works and prints what the page shows."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.readme import BLOCK, FIRST_MODEL, README, ROOT, run_session
from helpers.support import write_image_tree
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.version import __version__


@pytest.mark.parametrize("page", [README, FIRST_MODEL], ids=["README", "first-model"])
def test_every_code_block_is_run_or_says_why_not(page: str) -> None:
    """No block can be added that nothing runs."""
    blocks = re.findall(r"^```\w+$", page, flags=re.MULTILINE)
    reasons = [marker for marker, _, _ in BLOCK.findall(page)]

    assert len(reasons) == len(blocks)
    assert all(reason.startswith(("session: ", "not run here: ")) for reason in reasons)


@pytest.mark.parametrize("page", ["docs/tutorial/photos.md", "docs/how-to/serving.md"])
def test_what_another_test_runs_is_on_the_page_that_it_runs(page: str) -> None:
    """Line by line: a command of the README that is run elsewhere is the same command there."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [block for marker, _, block in BLOCK.findall(README) if page in marker]
    commands = re.findall(r"^\$ .*$", "".join(blocks), re.MULTILINE)

    assert len(commands) > 1
    assert [command for command in commands if f"{command}\n" not in text] == []


@pytest.mark.slow
def test_the_quickstart_session_works_as_shown(tmp_path: Path) -> None:
    """The quickstart, the commands on its bundle, the Python example, and a folder of one's own."""
    digits = load_digits()
    (seven,) = digits.store.read(np.flatnonzero(digits.labels == 7)[:1])
    (tmp_path / "pictures").mkdir()
    Image.fromarray(seven[0]).save(tmp_path / "pictures" / "seven.png")
    write_image_tree(tmp_path / "photos", {"dark": 30, "bright": 30}, side=20, mode="RGB")
    run_session("quickstart", tmp_path)

    assert (tmp_path / "quickstart" / "report.html").stat().st_size > 0


def test_the_built_in_model_works_as_shown(tmp_path: Path) -> None:
    """The golden images are written and classified; a photo on white is warned of, and right when inverted."""
    golden = GoldenSamples.from_bytes(Bundle.open("fashion").read_file("golden")).images
    boot = Image.fromarray(255 - golden[0, 0])
    boot.resize((600, 600), Image.Resampling.BICUBIC).convert("RGB").save(tmp_path / "photo-on-white.jpg")
    run_session("builtin", tmp_path)

    assert len(list((tmp_path / "pictures").glob("*.png"))) == len(golden)


@pytest.mark.slow
@pytest.mark.data
def test_the_first_tutorial_works_as_shown(fashion_session: Path) -> None:
    """Training on a part of the real Fashion-MNIST, export and evaluation print what it shows."""
    assert (fashion_session / "fm.html").stat().st_size > 0


@pytest.mark.study
@pytest.mark.data
def test_the_first_tutorial_reaches_the_stated_accuracy(data_dir: Path, tmp_path: Path) -> None:
    """On the whole of Fashion-MNIST: at least 0.91 of the test images, by the ONNX file as by PyTorch."""
    run_session("fashion", tmp_path, {"TORCHSTONE_DATA": str(data_dir)})
    certificate = json.loads((tmp_path / "bundles" / "fm" / "certificate.json").read_text())
    metrics = certificate["variants"]["fp32"]["splits"]["test"]["metrics"]

    assert metrics["samples"] == 10_000
    assert metrics["accuracy"] >= 0.91
    assert metrics["correct"] == certificate["pytorch"]["test"]["correct"]


def test_the_changelog_knows_the_version() -> None:
    """The version of the package is the changelog's, or its changes are not released yet."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{__version__}]" in changelog or "## [Unreleased]" in changelog
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
