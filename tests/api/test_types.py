"""A program of a user of `import torchstone`, seen by a type checker."""

import pytest

from conftest import CheckTypes

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


@pytest.mark.parametrize("extras", [False, pytest.param(True, marks=pytest.mark.study)])
def test_a_users_program_is_clean(check_types: CheckTypes, extras: bool) -> None:
    """Strictly, with the types that the reference states; with the packages of training and without."""
    result = check_types(RIGHT, extras=extras)
    assert result.returncode == 0, result.stdout


def test_wrong_calls_are_told(check_types: CheckTypes) -> None:
    """Three of them."""
    result = check_types(WRONG)
    assert "Found 3 errors" in result.stdout, result.stdout
