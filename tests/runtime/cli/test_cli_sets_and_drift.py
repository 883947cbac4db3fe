"""`--coverage`, `--by-class` and `--drift` of `predict` and `evaluate`."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused
from torchstone_runtime.data.split import Split
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.inference.classifier import Classifier

STORED = Path(__file__).parents[2] / "stored" / "digits"
COUNT = 40


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, digits: Split) -> Path:
    """A folder with forty digits."""
    folder = tmp_path_factory.mktemp("pictures")
    for index, image in enumerate(digits.store.read(np.arange(COUNT))):
        (folder / f"{index:02}.png").write_bytes(encode_png(image))
    return folder


@pytest.fixture(scope="module")
def sets(pictures: Path) -> list[tuple[str, ...]]:
    """Their sets, as the library has them."""
    with Classifier.load(STORED) as classifier:
        return classifier.predict(pictures).sets(0.99)


def test_json_lines_have_the_set(pictures: Path, sets: list[tuple[str, ...]]) -> None:
    """As an array, the most probable class first."""
    result = run_in_process("predict", STORED, pictures, "--coverage", "0.99", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]

    assert [tuple(row["set"]) for row in rows] == sets
    assert max(map(len, sets)) > 1


def test_csv_has_the_set_as_its_last_column(pictures: Path, sets: list[tuple[str, ...]]) -> None:
    """A JSON array, so that no name can be taken for two."""
    result = run_in_process("predict", STORED, pictures, "--coverage", "0.99", "--format", "csv", "--top", "2")
    header, *rows = csv.reader(io.StringIO(result.stdout))

    assert header == ["path", "class", "probability", "class_1", "p_1", "class_2", "p_2", "set"]
    assert [tuple(json.loads(row[-1])) for row in rows] == sets


def test_the_table_has_the_set_in_braces(pictures: Path, sets: list[tuple[str, ...]]) -> None:
    """At the end of the line."""
    result = run_in_process("predict", STORED, pictures, "--coverage", "0.99")
    assert [line.rpartition("\t")[2] for line in result.stdout.splitlines()] == [
        f"{{{', '.join(names)}}}" for names in sets
    ]


def test_without_a_coverage_nothing_is_added(pictures: Path) -> None:
    """Neither a key nor a column."""
    assert "set" not in json.loads(run_in_process("predict", STORED, pictures, "--json").stdout.splitlines()[0])
    assert run_in_process("predict", STORED, pictures, "--format", "csv").stdout.startswith(
        "path,class,probability,class_1,p_1\n"
    )


@pytest.mark.parametrize("command", [("predict",), ("evaluate",)])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--coverage", "0.9999"), r"cannot be promised: the model was calibrated on \d+ validation images"),
        (("--coverage", "0.99", "--by-class"), "cannot be promised for each class"),
        (("--by-class",), "--by-class needs --coverage"),
        (("--coverage", "1"), "is not in the range 0<x<1"),
        (("--coverage", "95"), "is not in the range 0<x<1"),
    ],
)
def test_what_cannot_be_promised_is_refused_before_anything_is_written(
    command: tuple[str], options: tuple[str, ...], said: str, pictures: Path, tmp_path: Path
) -> None:
    """With the number of images that there are."""
    given = (
        ("predict", STORED, pictures, "--gallery")
        if command == ("predict",)
        else (*("evaluate", STORED, "--data", "digits", "--csv"),)
    )
    result = run_in_process(*given, tmp_path / "file", *options)

    assert result.returncode == 2
    assert re.search(said, result.stderr)
    assert not result.stdout
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("options", [("--coverage", "0.9"), ("--drift",)])
def test_a_bundle_of_an_earlier_version_says_what_it_lacks(
    options: tuple[str, ...], pictures: Path, tmp_path: Path
) -> None:
    """One message, and what to do."""
    folder = shutil.copytree(STORED, tmp_path / "bundle")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["validation"]
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert_refused(run_in_process("predict", folder, pictures, *options), "carries no statistics", "Export it again")
    evaluated = run_in_process("evaluate", folder, "--data", "digits", "--json")
    assert evaluated.returncode == 0
    assert json.loads(evaluated.stdout)["drift"] is None
    assert "drift             not known" in run_in_process("evaluate", folder, "--data", "digits").stdout


def test_pictures_like_the_validation_images_are_no_drift(pictures: Path) -> None:
    """One line on stderr, which --quiet leaves out."""
    result = run_in_process("predict", STORED, pictures, "--drift")

    assert re.search(
        rf"^drift: none found \({COUNT} images compared with \d+ validation images; p ", result.stderr, re.MULTILINE
    )
    assert not run_in_process("predict", STORED, pictures, "--drift", "--quiet").stderr


def test_pictures_that_are_inverted_are_drift(pictures: Path) -> None:
    """A warning says in what they differ; the exit code stays as it is."""
    result = run_in_process("predict", STORED, pictures, "--drift", "--invert", "--quiet")

    assert result.returncode == 0
    assert re.search(r"^Warning: drift FOUND: .*brighter", result.stderr, re.MULTILINE)


def test_evaluate_shows_coverage_and_sizes_overall_and_by_class(tmp_path: Path) -> None:
    """In the terminal, the document and the page the same numbers; the sizes are those of all images."""
    options = ("--coverage", "0.97", "--json", tmp_path / "e.json", "--report", tmp_path / "e.html", "--explain", "0")
    result = run_in_process("evaluate", STORED, "--data", "digits", *options)
    found = json.loads((tmp_path / "e.json").read_text())["conformal"]
    page = (tmp_path / "e.html").read_text()

    assert result.returncode == 0, result.stderr
    assert sum(found["sizes"].values()) == found["images"] == sum(item["images"] for item in found["per_class"])
    assert found["covered"] == sum(item["covered"] for item in found["per_class"])
    assert f"sets at 0.97      {found['coverage']:.4f} hold the right class" in result.stdout
    for item in found["per_class"]:
        row = rf"^{item['class']} +{item['coverage']:.4f} +{item['mean_size']:.2f} +{item['images']}$"
        assert re.search(row, result.stdout, re.MULTILINE)
    assert f"{found['coverage']:.4f} hold the right class" in page
    assert "<h2>Drift</h2>" in page


def test_evaluate_finds_drift(tmp_path: Path, digits: Split) -> None:
    """Of digits on white; of digits as they are it says that there is none."""
    images = digits.store.read(np.arange(300))
    np.savez(tmp_path / "white.npz", images=255 - images[:, 0], labels=digits.labels[:300])
    inverted = json.loads(
        run_in_process("evaluate", STORED, "--data", f"npz:{tmp_path / 'white.npz'}", "--json").stdout
    )
    same = json.loads(run_in_process("evaluate", STORED, "--data", "digits", "--json").stdout)

    assert inverted["drift"]["alarm"]
    assert not same["drift"]["alarm"]
    assert inverted["drift"]["features"]["border"]["distance"] == pytest.approx(1, abs=0.01)
