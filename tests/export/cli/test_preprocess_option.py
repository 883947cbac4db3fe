"""The command line on photographs for a model of another origin: asked for a word, or told where it stands."""

import json
from pathlib import Path

import onnx
import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, write_image_tree
from helpers.support_foreign import onnx_model

CLASSES = {"a": 10, "b": 10, "c": 10, "d": 10}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Pictures of 20 x 20 pixels, and an ultralytics-like ONNX file that takes 8 x 8."""
    write_image_tree(tmp_path / "photos", CLASSES, side=20, mode="RGB")
    model = onnx_model(ending="Softmax")
    names = str(dict(enumerate(CLASSES)))
    onnx.helper.set_model_props(model, {"task": "classify", "imgsz": "[8, 8]", "names": names})
    onnx.save(model, tmp_path / "yolo.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "plain.onnx")
    return tmp_path


def test_metadata_of_ultralytics_is_enough(place: Path) -> None:
    """No spec, no option; what was taken is told, and stands in the manifest."""
    result = run_in_process("adopt", "yolo.onnx", "--data", "folder:photos", "--out", "bundle", cwd=place)

    assert result.returncode == 0, result.stderr
    assert "the metadata of yolo.onnx (ultralytics): --input 3x8x8, --fit crop, --resize 8" in result.stderr
    assert "accuracy of fp32: validation 0." in result.stdout
    manifest = json.loads((place / "bundle" / "manifest.json").read_text())
    assert (manifest["input"]["fit"], manifest["input"]["resize"]) == ("crop", 8)
    assert manifest["classes"] == list(CLASSES)


def test_without_a_word_the_usual_choices_are_listed(place: Path) -> None:
    """Exit code 2, and nothing is written."""
    options = ("--input", "3x8x8", "--mean", "0,0,0", "--std", "1,1,1", "--output", "probabilities")
    result = run_in_process("adopt", "plain.onnx", *options, "--data", "folder:photos", "--out", "bundle", cwd=place)

    assert_refused(result, "nothing says how they become that size", "--fit crop --resize 9", "--fit stretch")
    assert not (place / "bundle").exists()


def test_an_accuracy_that_is_not_reached_is_a_failed_check(place: Path) -> None:
    """Of an adopted file as of a run."""
    arguments = ("adopt", "yolo.onnx", "--data", "folder:photos", "--out", "bundle", "--expect-accuracy", "1")
    result = run_in_process(*arguments, cwd=place)

    assert result.returncode == 1
    assert "lower than the 1 that was expected" in result.stderr
    assert not (place / "bundle").exists()
