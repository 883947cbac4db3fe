"""`torchstone data`: what is found, as text, JSON, a page and a list; a gate only where it is asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.photographs import photograph_tree
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.data.digits import load_digits


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a damaged file and a copy."""
    root = photograph_tree(tmp_path / "photos", {"cat": 3, "dog": 3})
    (root / "cat" / "bad.jpg").write_text("no picture")
    (root / "dog" / "copy.jpg").write_bytes((root / "dog" / "1.jpg").read_bytes())
    return root


def test_all_outputs_are_written_and_nothing_is_deleted(photos: Path, tmp_path: Path) -> None:
    """Exit code 0 whatever was found; the folder is as it was."""
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    outputs = ("--json", "a.json", "--report", "a.html", "--fix-list", "a.csv")
    result = run_torchstone("data", f"folder:{photos}", *outputs, cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert "ERROR     1 file can't be read" in result.stdout
    assert result.stderr.count("wrote ") == 3
    assert json.loads((tmp_path / "a.json").read_text())["pictures"] == 8
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "a.csv").read_text().count("\n") == 3
    assert before == {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}


def test_a_file_name_that_is_not_utf_8_is_written(photos: Path, tmp_path: Path) -> None:
    """The list has the name's own bytes, so that it leads to the file; JSON and the page have an escape."""
    name = b"caf\xe9.png"
    try:
        (photos / "cat" / os.fsdecode(name)).write_text("no picture")
    except OSError:
        pytest.skip("the file system takes only names in UTF-8")
    outputs = ("--json", "a.json", "--report", "a.html", "--fix-list", "a.csv")
    result = run_torchstone("data", f"folder:{photos}", *outputs, cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert os.fsencode(photos / "cat" / os.fsdecode(name)) + b"," in (tmp_path / "a.csv").read_bytes()


def test_the_base_install_is_enough(photos: Path) -> None:
    """Without ONNX Runtime, which only a bundle needs."""
    blocked = "import sys; sys.modules['onnxruntime'] = None; from torchstone_runtime.cli.main import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", blocked, "data", f"folder:{photos}"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_strict_fails_where_something_is_wrong(photos: Path) -> None:
    """With exit code 1 and the kinds; not on a note."""
    result = run_in_process("data", f"folder:{photos}", "--strict")
    assert result.returncode == 1
    assert "The data is not sound: unreadable, exact_duplicates." in result.stderr
    (photos / "cat" / "bad.jpg").unlink()
    (photos / "dog" / "copy.jpg").unlink()
    (photos / "dog" / "notes.txt").write_text("a note")
    assert run_in_process("data", f"folder:{photos}", "--strict").returncode == 0


def test_a_bundle_tells_likely_label_errors_and_that_it_has_seen_the_pictures(digits_bundle: Path) -> None:
    """The bundle of the digits was trained on most of them."""
    result = run_in_process("data", "digits", "--bundle", digits_bundle, "--json")
    document = json.loads(result.stdout)
    found = {finding["kind"]: finding for finding in document["findings"]}

    assert result.returncode == 0, result.stderr
    assert found["label_errors"]["count"] == len(document["label_errors"]) > 0
    assert "has learnt their wrong labels" in found["model_has_seen_pictures"]["text"]
    assert all(item["label"] != item["likely"] for item in document["label_errors"])


def test_of_other_data_it_is_not_claimed_that_the_bundle_has_seen_it(digits_bundle: Path, tmp_path: Path) -> None:
    """The record of its training counts more pictures than these."""
    digits = load_digits()
    np.savez(tmp_path / "some.npz", images=digits.store.read(np.arange(300))[:, 0], labels=digits.labels[:300])
    result = run_in_process("data", f"npz:{tmp_path / 'some.npz'}", "--bundle", digits_bundle)

    assert "the model may have been trained on these pictures" in result.stdout
    assert "was trained on" not in result.stdout


def test_predictions_tell_the_same_as_the_bundle_that_made_them(digits_bundle: Path, tmp_path: Path) -> None:
    """`evaluate --predictions` writes what `data --predictions` reads."""
    file = tmp_path / "p.csv"
    run_in_process("evaluate", digits_bundle, "--data", "digits", "--split", "all", "--predictions", file)
    read, predicted = (
        json.loads(run_in_process("data", "digits", *options, "--json").stdout)["label_errors"]
        for options in (("--predictions", file), ("--bundle", digits_bundle))
    )
    assert [item["picture"] for item in read] == [item["picture"] for item in predicted]


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("folder:nowhere",), "nowhere is not a folder"),
        (("digits", "--bundle", "fashion", "--predictions", "p.csv"), "both provide predictions"),
        (("digits", "--predictions", "nowhere.csv"), "nowhere.csv cannot be read"),
        (("digits", "--report", "x", "--fix-list", "x"), "Two outputs have the same file name"),
        (("digits", "--bundle", "fashion"), "classes"),
    ],
)
def test_bad_input_is_told_in_one_message(arguments: tuple[str, ...], fragment: str, tmp_path: Path) -> None:
    """With exit code 2, and nothing written."""
    result = run_in_process("data", *arguments, cwd=tmp_path)
    assert_refused(result, fragment)
    assert list(tmp_path.iterdir()) == []
