import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import run_in_process
from helpers.support import write_image_tree
from torchstone_runtime.bundle.builtin import locate_bundle


def npz_of(folder: Path) -> Path:
    """Write the golden images with labels as an npz file."""
    images = np.load(locate_bundle("fashion") / "golden.npz")["images"][:, 0]
    np.savez(folder / "data.npz", images=images, labels=np.arange(len(images)) % 10)
    return folder / "data.npz"


@pytest.mark.parametrize(
    "form",
    ["csv", "jsonl", pytest.param("parquet", marks=pytest.mark.skipif(not find_spec("pyarrow"), reason="no pyarrow"))],
)
def test_scored_parts_give_the_figures_of_evaluate(form: str, tmp_path: Path) -> None:
    """Accuracy, log loss and all others, to the digit of the format."""
    data, out = npz_of(tmp_path), tmp_path / "out"
    options = ("--format", form, "--probabilities", "--per-shard", "5")
    result = run_in_process("score", "fashion", data, "--out", out, *options)
    assert result.returncode == 0, result.stderr
    found = run_in_process("evaluate", "fashion", "--scored", out, "--json", "-")
    assert found.returncode == 0, found.stderr
    direct = run_in_process("evaluate", "fashion", "--data", f"npz:{data}", "--split", "all", "--json", "-")
    scored, whole = json.loads(found.stdout), json.loads(direct.stdout)
    assert scored["metrics"] == whole["metrics"]
    for name, figure in whole["figures"].items():
        assert scored["figures"][name]["value"] == pytest.approx(figure["value"], abs=1e-6)


def test_a_gate_on_probabilities_that_were_not_written_is_refused(tmp_path: Path) -> None:
    """The others hold without."""
    out = tmp_path / "out"
    assert run_in_process("score", "fashion", npz_of(tmp_path), "--out", out, "--format", "csv").returncode == 0
    assert run_in_process("evaluate", "fashion", "--scored", out, "--min-accuracy", "0").returncode == 0
    assert run_in_process("evaluate", "fashion", "--scored", out, "--min-accuracy", "1").returncode == 1
    refused = run_in_process("evaluate", "fashion", "--scored", out, "--max-log-loss", "9")
    assert (refused.returncode, "lacks the probabilities" in refused.stderr) == (2, True)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the float32 file of `fashion` says of its golden images."""
    folder = tmp_path_factory.mktemp("scored")
    options = ("--out", folder / "out", "--format", "csv", "--variant", "fp32")
    result = run_in_process("score", "fashion", npz_of(folder), *options)
    assert result.returncode == 0, result.stderr
    return folder / "out"


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--split", "test"), 2, "--split needs the pictures"),
        (("--by-class",), 2, "--by-class needs the pictures"),
        (("--provider", "cpu"), 2, "--provider is for a model that runs"),
        (("--check", "none"), 2, "--check is for a model that runs"),
        (("--variant", "fp32"), 0, ""),
        (("--variant", "int8"), 2, "was scored by the variant fp32, not by int8"),
    ],
)
def test_an_option_is_heeded_or_refused(scored: Path, options: tuple[str, ...], code: int, told: str) -> None:
    """What needs the pictures or a model that runs has no effect on parts."""
    result = run_in_process("evaluate", "fashion", "--scored", scored, *options)
    assert (result.returncode, told in result.stderr) == (code, True), result.stderr


@pytest.mark.skipif(not find_spec("model_signing"), reason="no model-signing")
def test_a_signature_that_is_asked_for_is_checked(scored: Path, tmp_path: Path) -> None:
    """A key that there isn't."""
    result = run_in_process("evaluate", "fashion", "--scored", scored, "--public-key", tmp_path / "key.pub")
    assert (result.returncode, "There is no public key" in result.stderr) == (2, True), result.stderr


def test_a_row_without_an_answer_is_named_and_fails(tmp_path: Path) -> None:
    """A picture that could not be read."""
    pictures = write_image_tree(tmp_path / "pictures", {"Bag": 2, "Coat": 2}, side=28)
    (pictures / "Bag" / "broken.png").write_bytes(b"no picture")
    assert run_in_process("score", "fashion", pictures, "--out", tmp_path / "out", "--format", "csv").returncode == 0
    result = run_in_process("evaluate", "fashion", "--scored", tmp_path / "out")
    assert (result.returncode, "broken.png" in result.stderr) == (1, True), result.stderr


def test_a_part_that_is_cut_within_a_cell_is_named(tmp_path: Path) -> None:
    """With the remedy."""
    out = tmp_path / "out"
    assert run_in_process("score", "fashion", npz_of(tmp_path), "--out", out, "--format", "csv").returncode == 0
    part = next(out.glob("part-*.csv"))
    part.write_text(part.read_text() + '"cut')
    found = run_in_process("evaluate", "fashion", "--scored", out)
    assert (found.returncode, part.name in found.stderr, "score again" in found.stderr) == (2, True, True), found.stderr


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    """A set of thousands of classes is more than the standard library reads by default."""
    out = tmp_path / "out"
    assert run_in_process("score", "fashion", npz_of(tmp_path), "--out", out, "--format", "csv").returncode == 0
    part = next(out.glob("part-*.csv"))
    header, first, rest = part.read_text().split("\n", 2)
    part.write_text("\n".join([f"{header.rstrip()},set", f"{first.rstrip()},{'x' * 200_000}", rest]))
    assert run_in_process("evaluate", "fashion", "--scored", out).returncode == 0


def test_parts_without_labels_or_with_a_part_missing_are_refused(tmp_path: Path) -> None:
    """No figure is made of a part of the rows."""
    flat, out = tmp_path / "flat", tmp_path / "out"
    flat.mkdir()
    for index, image in enumerate(np.load(locate_bundle("fashion") / "golden.npz")["images"][:, 0]):
        Image.fromarray(image).save(flat / f"{index}.png")
    assert run_in_process("score", "fashion", flat, "--out", out, "--format", "csv", "--per-shard", "5").returncode == 0
    refused = run_in_process("evaluate", "fashion", "--scored", out)
    assert (refused.returncode, "have no label" in refused.stderr) == (2, True)
    next(out.glob("part-*")).unlink()
    refused = run_in_process("evaluate", "fashion", "--scored", out)
    assert (refused.returncode, "parts" in refused.stderr) == (2, True)
