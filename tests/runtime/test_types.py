"""Programs of users, seen by a type checker: only it runs them."""

import re

from conftest import CheckTypes

RIGHT = """
import asyncio
import os
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt
from PIL import Image

from torchstone_runtime import Bundle, Classifier, ExecutionPlan, InputSpec, Predictions, TorchstoneError, __version__


def use(images: npt.NDArray[np.uint8], picture: Image.Image) -> list[str]:
    with Classifier.load("bundle", variant="fp32", provider="cpu", threads=2, replay_golden=True) as classifier:
        assert_type(classifier, Classifier)
        assert_type(classifier.predict(images), Predictions)
        classifier.predict("a.png")
        classifier.predict(b"bytes")
        classifier.predict(Path("a.png"))
        classifier.predict([Path("a.png"), "b.png", b"", picture])
        predictions = classifier.predict(picture)
        assert_type(predictions.labels, list[str])
        assert_type(predictions.top(3), list[list[tuple[str, float]]])
        assert_type(predictions.probabilities, npt.NDArray[np.float32])
        assert_type(predictions.indices, npt.NDArray[np.int64])
        assert_type(classifier.plan, ExecutionPlan)
        assert_type(classifier.input_spec, InputSpec)
        assert_type(classifier.input_spec.shape, tuple[int, int, int])
        assert_type(classifier.bundle, Bundle | None)
        assert_type(__version__, str)
        for part in classifier.stream(path for path in os.listdir(".")):
            assert_type(part, Predictions)
        return predictions.labels


async def answer(classifier: Classifier, path: str) -> str:
    try:
        return (await asyncio.to_thread(classifier.predict, path)).labels[0]
    except TorchstoneError as error:
        assert_type(error.problem, str)
        assert_type(error.exit_code, int)
        return error.remedy
"""


def test_a_program_that_uses_everything_is_accepted(check_types: CheckTypes) -> None:
    """With the types that the documentation states."""
    result = check_types(RIGHT)
    assert result.returncode == 0, result.stdout


MISTAKES = {
    "classifier.predict(3)": "arg-type",
    "classifier.predict([images])": "list-item",
    "classifier.predict(images).label": "attr-defined",
    "Classifier.load('b', threads='2')": "arg-type",
    "classifier.plan.threads = 3": "misc",
}


def test_mistakes_are_found(check_types: CheckTypes) -> None:
    """Each in its line, before the program runs."""
    head = (
        "import numpy as np",
        "import numpy.typing as npt",
        "from torchstone_runtime import Classifier",
        "def use(classifier: Classifier, images: npt.NDArray[np.uint8]) -> None:",
    )
    result = check_types("\n".join([*head, *(f"    {line}" for line in MISTAKES)]))
    assert result.returncode == 1
    found = re.findall(r"^program\.py:(\d+): error: .*\[([a-z-]+)\]$", result.stdout, re.MULTILINE)
    assert found == [(str(len(head) + n), code) for n, code in enumerate(MISTAKES.values(), 1)]
