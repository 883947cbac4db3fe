import json
import os
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.data.split import Split
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.inference.classifier import Classifier


@pytest.fixture
def pictures(tmp_path: Path, digits: Split) -> Path:
    """A folder with four digits as PNG files, and others that are no pictures."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for index, image in enumerate(digits.store.read(np.arange(4))):
        (folder / ("sub" if index == 3 else ".") / f"{index}.png").write_bytes(encode_png(image))
    (folder / "notes.txt").write_text("no picture")
    (folder / "._0.png").write_text("what macOS leaves behind")
    (folder / "folder.png").mkdir()
    return folder


def test_files_get_a_line_each(digits_bundle: Path, pictures: Path, classifier: Classifier) -> None:
    """Path, class and probability, in the order given."""
    paths = [pictures / "2.png", pictures / "0.png"]
    result = run_torchstone("predict", digits_bundle, *paths)
    expected = classifier.predict(paths)
    lines = [
        f"{path}\t{label} {probability:.4f}"
        for path, label, probability in zip(paths, expected.labels, expected.confidences, strict=True)
    ]
    assert result.returncode == 0
    assert result.stdout.splitlines() == lines


def test_a_folder_is_searched(digits_bundle: Path, pictures: Path) -> None:
    """Every image in it and in its sub-folders, sorted; hidden and other files are passed over."""
    result = run_in_process("predict", digits_bundle, pictures)
    assert result.returncode == 0, result.stderr
    found = [line.split("\t")[0] for line in result.stdout.splitlines()]
    assert found == [str(pictures / name) for name in ("0.png", "1.png", "2.png", "sub/3.png")]


def test_json_lines_hold_the_top_classes(digits_bundle: Path, pictures: Path, classifier: Classifier) -> None:
    """One object a line; the best class is repeated at the top level."""
    result = run_in_process("predict", digits_bundle, pictures, "--json", "--top", "3")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 4
    for row in rows:
        top = classifier.predict(row["path"]).top(3)[0]
        assert [item["class"] for item in row["top"]] == [name for name, _ in top]
        assert [item["probability"] for item in row["top"]] == pytest.approx([p for _, p in top], abs=1e-6)
        assert (row["class"], row["probability"]) == (row["top"][0]["class"], row["top"][0]["probability"])


def test_top_shows_more_classes(digits_bundle: Path, pictures: Path) -> None:
    """As many as asked for, at most all."""
    result = run_in_process("predict", digits_bundle, pictures / "0.png", "--top", "99")
    assert len(result.stdout.strip().split("\t")) == 11


def test_one_bad_file_among_good_ones(digits_bundle: Path, pictures: Path) -> None:
    """It is named, the others are done, and the exit code is 1."""
    (pictures / "1.png").write_text("not an image")
    result = run_in_process("predict", digits_bundle, pictures)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "1.png is not an image" in result.stderr
    assert "1 of 4 files could not be classified" in result.stderr
    assert [Path(line.split("\t")[0]).name for line in result.stdout.splitlines()] == ["0.png", "2.png", "3.png"]


def test_a_bad_file_alone(digits_bundle: Path, tmp_path: Path) -> None:
    """Nothing could be done: exit code 2 and no output."""
    (tmp_path / "bad.png").write_text("not an image")
    assert_refused(run_in_process("predict", digits_bundle, tmp_path / "bad.png"), "bad.png is not an image")


def test_only_bad_files(digits_bundle: Path, tmp_path: Path) -> None:
    """Each is named, and the error says how many there were."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("not an image")
    result = run_in_process("predict", digits_bundle, tmp_path)
    assert_refused(result, "a.png is not an image", "b.png is not an image", "None of the 2 files")


def test_a_missing_file_is_named(digits_bundle: Path, tmp_path: Path) -> None:
    """One message, exit code 2."""
    assert_refused(run_in_process("predict", digits_bundle, tmp_path / "nowhere.png"), "nowhere.png does not exist")


def test_a_folder_without_images_is_refused(digits_bundle: Path, tmp_path: Path) -> None:
    """One message."""
    assert_refused(run_in_process("predict", digits_bundle, tmp_path), "holds no image files")


def test_a_bundle_for_pictures_is_told_for_what_it_is(digits_bundle: Path) -> None:
    """Somebody gave the bundle twice."""
    result = run_in_process("predict", digits_bundle, digits_bundle)
    assert_refused(result, f"{digits_bundle} holds no image files: it is a bundle", "torchstone predict")


def test_a_run_for_pictures_is_told_for_what_it_is(digits_bundle: Path, tmp_path: Path) -> None:
    """With the command for it."""
    (tmp_path / "run.json").write_text("{}")
    result = run_in_process("predict", digits_bundle, tmp_path)
    assert_refused(result, "it is the directory of a training run", f"torchstone export {tmp_path}")


def test_a_file_name_that_is_not_utf8_is_printed(digits_bundle: Path, tmp_path: Path, digits: Split) -> None:
    """Old archives have Latin-1 names; the odd byte is shown as a replacement character."""
    with open(os.fsencode(tmp_path) + b"/caf\xe9.png", "wb") as file:  # noqa: PTH123 - a name of bytes
        file.write(encode_png(digits.store.read(np.arange(1))[0]))
    for option in ((), ("--json",)):
        result = run_torchstone("predict", digits_bundle, tmp_path, *option)
        assert result.returncode == 0, result.stderr
        assert "caf\ufffd.png" in result.stdout
