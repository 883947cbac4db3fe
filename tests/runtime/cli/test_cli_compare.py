"""`torchstone compare`, run as a person runs it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.renamed_classes import show_the_centre
from helpers.support import run_torchstone, write_image_tree

HEADER = "id,true,predicted,correct,margin,p(cat),p(dog)\n"


def write_predictions(path: Path, right: list[bool]) -> Path:
    """Write a predictions file in which sample i is right or not."""
    rows = []
    for index, is_right in enumerate(right):
        true = index % 2
        predicted = true if is_right else 1 - true
        names = ("cat", "dog")
        p = ("0.9,0.1", "0.1,0.9")[predicted]
        rows.append(f"{index},{names[true]},{names[predicted]},{int(is_right)},0.8,{p}\n")
    path.write_text(HEADER + "".join(rows))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A is right on 80 of 100 samples, B on 95: 18 gained, 3 lost."""
    a = [index >= 20 for index in range(100)]
    b = [not 18 <= index < 23 for index in range(100)]
    return write_predictions(tmp_path / "a.csv", a), write_predictions(tmp_path / "b.csv", b)


def test_a_better_file_is_called_better_with_the_evidence(files: tuple[Path, Path]) -> None:
    """Difference, interval, exact test, and every sample that changed."""
    result = run_torchstone("compare", *files, "--json", "-")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["verdict"].startswith("B is more accurate than A: B minus A is +0.1500")
    assert (found["paired"]["gained"], found["paired"]["lost"]) == (18, 3)
    assert found["paired"]["mcnemar_p"] == pytest.approx(0.00149, abs=1e-5)
    assert len(found["differing"]) == 21
    assert found["differing"][0]["a"] == found["differing"][0]["true"]


def test_a_file_against_itself_has_no_difference(files: tuple[Path, Path]) -> None:
    """All samples alike, nothing listed."""
    result = run_in_process("compare", files[0], files[0])
    assert result.returncode == 0, result.stderr
    assert "No difference: A and B decide all 100 samples alike." in result.stdout


def test_a_difference_that_chance_explains_is_not_called_one(tmp_path: Path) -> None:
    """Three gained and one lost: p = 0.625."""
    a = write_predictions(tmp_path / "a.csv", [index not in (0, 1, 2) for index in range(50)])
    b = write_predictions(tmp_path / "b.csv", [index != 9 for index in range(50)])
    result = run_in_process("compare", a, b)
    assert "No difference shown" in result.stdout
    assert "p = 0.625" in result.stdout


@pytest.mark.parametrize(("drop", "code"), [("0.2", 0), ("0.01", 1)])
def test_non_inferiority_is_judged_by_the_lower_end(files: tuple[Path, Path], drop: str, code: int) -> None:
    """B (here the worse file) must be shown to be at most that much worse."""
    result = run_in_process("compare", files[1], files[0], "--max-drop", "0.3" if code == 0 else drop)
    assert result.returncode == code
    assert ("is not shown to be" in result.stderr) == bool(code)


def test_a_bundle_and_its_own_predictions_agree(digits_bundle: Path, tmp_path: Path) -> None:
    """A model measured now against what it decided before, matched by id."""
    stored = tmp_path / "before.csv"
    made = run_in_process("evaluate", digits_bundle, "--data", "digits", "--predictions", stored)
    assert made.returncode == 0, made.stderr
    result = run_in_process("compare", stored, digits_bundle, "--data", "digits")
    assert result.returncode == 0, result.stderr
    assert "No difference: A and B decide all 359 samples alike." in result.stdout
    assert "speed" not in result.stdout


def test_two_bundles_are_timed_in_turns(digits_bundle: Path, tmp_path: Path) -> None:
    """The ratio has an interval, and the page and the table are written."""
    page, table = tmp_path / "page.html", tmp_path / "table.csv"
    arguments = ("compare", digits_bundle, digits_bundle, "--data", "digits", "--report", page, "--csv", table)
    result = run_in_process(*arguments)
    assert result.returncode == 0, result.stderr
    assert "x the speed of A (95% interval" in result.stdout
    assert "decide all 359 samples alike" in page.read_text()
    assert list(csv.DictReader(table.open(newline=""))) == []


def test_the_page_shows_the_samples_that_differ(digits_bundle: Path, tmp_path: Path) -> None:
    """A picture each, framed by whether B is right."""
    stored = tmp_path / "before.csv"
    arguments = ("evaluate", digits_bundle, "--data", "digits", "--split", "all", "--predictions", stored)
    assert run_in_process(*arguments).returncode == 0
    rows = list(csv.DictReader(stored.open(newline="")))
    for row in rows[:2]:  # as if these had been decided otherwise
        row["predicted"] = str((int(row["predicted"]) + 1) % 10)
    with stored.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    page = tmp_path / "page.html"
    options = ("--data", "digits", "--split", "all", "--report", page)
    result = run_in_process("compare", stored, digits_bundle, *options)
    assert result.returncode == 0, result.stderr
    assert page.read_text().count("<figure") == 2


def test_each_bundle_is_measured_on_pictures_that_are_prepared_as_it_takes_them(
    digits_bundle: Path, bundle_copy: Path, tmp_path: Path
) -> None:
    """Two inputs of one size, of which one shows the centre of a picture alone."""
    show_the_centre(bundle_copy, 40)
    folder = write_image_tree(tmp_path / "photos", {str(digit): 8 for digit in range(10)}, side=40)
    options = ("--data", f"folder:{folder}", "--json", "-")
    compared = run_in_process("compare", digits_bundle, bundle_copy, *options, "--no-speed")
    alone = run_in_process("evaluate", bundle_copy, *options)
    assert json.loads(compared.stdout)["b"]["metrics"] == json.loads(alone.stdout)["metrics"]


def test_a_bundle_is_not_measured_on_what_it_was_trained_on_since_the_other_was_not(
    digits_bundle: Path, bundle_copy: Path, edit_manifest: Callable[..., None]
) -> None:
    """A part that is chosen by where B comes from too: all of the digits are fair for the first only."""
    edit_manifest(bundle_copy, lambda data: data["provenance"]["dataset"]["test"].update(fingerprint="0" * 64))
    result = run_in_process("compare", bundle_copy, digits_bundle, "--data", "digits")
    assert (result.returncode, "would be measured on different parts" in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("{a}", "{b}", "--data", "digits"), "Two predictions files need no --data"),
        (("{bundle}", "{b}"), "--data is required unless A and B are both CSV files"),
        (("{bundle}", "{b}", "--data", "digits"), "same classes"),
        (("{a}", "{b}", "--variant-a", "fp32"), "has no variants"),
        (("{a}", "nowhere.csv"), "cannot be read"),
        (("{a}", "{b}", "--csv", "same.out", "--report", "same.out"), "same file name"),
    ],
)
def test_what_can_not_be_compared_is_told(
    files: tuple[Path, Path], digits_bundle: Path, arguments: tuple[str, ...], told: str
) -> None:
    """One message, exit code 2."""
    names = {"a": files[0], "b": files[1], "bundle": digits_bundle}
    result = run_in_process("compare", *(argument.format(**names) for argument in arguments))
    assert (result.returncode, told in result.stderr) == (2, True), result.stderr
