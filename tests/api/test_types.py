"""A program of a user of `import torchstone`, seen by a type checker."""

import subprocess
import sys
from pathlib import Path

RIGHT = """
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import torchstone


def use(images: npt.NDArray[np.uint8]) -> list[str]:
    run = torchstone.train("cnn3", data="folder:photos", out="runs/a", epochs=5, progress=print)
    assert_type(run, torchstone.TrainingRun)
    assert_type(run.metrics, dict[str, float])
    bundle = torchstone.export(run, out="bundles/a", int8=True)
    assert_type(bundle.certificate, dict[str, Any])
    result = torchstone.evaluate(bundle, data="folder:photos")
    assert_type(result.accuracy, float)
    assert_type(result.confusion_matrix, npt.NDArray[np.int64])
    torchstone.evaluate("bundles/a", data=(images, ["cat", "dog"]))
    torchstone.verify("bundles/a")
    with torchstone.load("bundles/a") as classifier:
        assert_type(classifier, torchstone.Classifier)
        for prediction in classifier.predict_folder("inbox"):
            assert_type(prediction.label, str | None)
            assert_type(prediction.top(3), list[tuple[str, float]])
        predictions = classifier.predict(images, layout="NHWC")
        assert_type(predictions[0], torchstone.Prediction)
        assert_type(predictions[1:], torchstone.Predictions)
    try:
        torchstone.verify("bundles/a", data="digits")
    except torchstone.CheckFailedError as error:
        return [error.problem, error.remedy]
    return predictions.labels
"""
WRONG = """
import torchstone

torchstone.train("cnn3", out="runs/a")
torchstone.load(3)
torchstone.load("a").predict("a.png", layout="NWHC")
"""


def check(program: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run `mypy --strict` on a program outside of the repository, against the installed package."""
    (folder / "program.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", ".cache", "program.py"]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_a_users_program_is_clean(tmp_path: Path) -> None:
    """Strictly, with the types that the reference states."""
    result = check(RIGHT, tmp_path)
    assert result.returncode == 0, result.stdout


def test_wrong_calls_are_told(tmp_path: Path) -> None:
    """Three of them."""
    result = check(WRONG, tmp_path)
    assert "Found 3 errors" in result.stdout, result.stdout
