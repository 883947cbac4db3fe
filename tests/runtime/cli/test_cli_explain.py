"""`evaluate --report --explain N`: mistakes with what the model looked at."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import run_in_process
from helpers.support import assert_refused
from helpers.support_corner import write_corner_model


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of noise, which the corner model calls lively, half of them labelled dull."""
    root = tmp_path_factory.mktemp("photos")
    for index, name in enumerate(["dull", "lively"] * 5):
        (root / name).mkdir(exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (32, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def evaluate(photos: Path, tmp_path: Path, *options: str) -> tuple[str, str]:
    """The page and what was said on stderr."""
    model = write_corner_model(tmp_path / "corner.onnx")
    given = ("--data", f"folder:{photos}", "--split", "all", "--report", tmp_path / "r.html")
    result = run_in_process("evaluate", model, *given, *options)
    assert result.returncode == 0, result.stderr
    return (tmp_path / "r.html").read_text(), result.stderr


def test_the_report_explains_the_surest_mistakes(photos: Path, tmp_path: Path) -> None:
    """Each with three pictures; what that costs is said before."""
    page, said = evaluate(photos, tmp_path)
    assert "<h2>Where the model looked</h2>" in page
    assert page.count('class="look"') == 5
    assert page.count("Where the model looks for lively") == page.count("Where the model looks for dull") == 5
    assert re.search(
        r"looking into the 5 most confident mistakes: the model runs on 725 covered copies, some \d+ s", said
    )


def test_the_number_can_be_chosen(photos: Path, tmp_path: Path) -> None:
    """Fewer."""
    page, said = evaluate(photos, tmp_path, "--explain", "2")
    assert page.count('class="look"') == 2
    assert "the 2 most confident mistakes" in said


def test_it_can_be_switched_off(photos: Path, tmp_path: Path) -> None:
    """No section, no cost."""
    page, said = evaluate(photos, tmp_path, "--explain", "0")
    assert "Where the model looked" not in page
    assert "covered" not in said


def test_a_number_without_a_report_is_refused(photos: Path, tmp_path: Path) -> None:
    """There would be no page to draw into."""
    model = write_corner_model(tmp_path / "corner.onnx")
    result = run_in_process("evaluate", model, "--data", f"folder:{photos}", "--explain", "3")
    assert_refused(result, "--explain draws into the report", "Add --report FILE")


def test_a_model_without_a_mistake_has_nothing_to_explain(photos: Path, tmp_path: Path) -> None:
    """The pictures under their right names, smooth ones among them."""
    for file in (photos / "lively").iterdir():
        target = tmp_path / "right" / "lively" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    (tmp_path / "right" / "dull").mkdir()
    Image.new("RGB", (24, 32), "gray").save(tmp_path / "right" / "dull" / "0.png")
    page, said = evaluate(tmp_path / "right", tmp_path)
    assert "Where the model looked" not in page
    assert "covered" not in said
