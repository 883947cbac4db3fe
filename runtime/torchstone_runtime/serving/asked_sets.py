"""The set of classes that holds the right one, where a coverage is asked for.

`POST /predict?coverage=0.95`, and `"parameters": {"coverage": 0.95}` of an inference request.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import BoolArray
from torchstone_runtime.errors import TorchstoneError, UsageError
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.serving.core.answer import Answer
from torchstone_runtime.serving.core.served_model import Seen, ServedModel

_ALONE: Final = "'by_class' needs 'coverage', which is not given."
_NO_COVERAGE: Final = "'coverage' must be a number between 0 and 1, such as 0.95."


def asked_set(model: ServedModel, seen: Seen, query: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the set of classes, best first, as `set`, where the query has a `coverage`; see `Predictions.sets`.

    Args:
        model: model that answered.
        seen: picture with its answer.
        query: query of the request: `coverage`, and `by_class` (`true` or `false`).

    Raises:
        UsageError: a coverage that is not a number between 0 and 1 or cannot be promised, or `by_class` without one.
    """
    by_class = _flag(query.get("by_class"))
    if "coverage" not in query:
        if by_class:
            raise UsageError(_ALONE, "Add coverage=0.95.")
        return {}
    try:
        coverage = float(query["coverage"])
    except ValueError as error:
        raise UsageError(_NO_COVERAGE) from error
    return {"set": list(_predictions(model, seen.answer).sets(coverage, by_class=by_class)[0])}


def can_promise(model: ServedModel, coverage: float) -> bool:
    """Return whether a model's bundle keeps enough of its validation images to promise a coverage."""
    try:
        model.classifier.statistics.read().conformal.members(
            np.full((1, len(model.class_names)), 1 / len(model.class_names), np.float32), coverage
        )
    except TorchstoneError:
        return False
    return True


def asked_members(model: ServedModel, answer: Answer, parameters: Mapping[str, Any]) -> Mapping[str, BoolArray]:
    """Return the output `set`, bool [N, K]: the classes in each image's set; nothing where no coverage is asked for.

    Args:
        model: model that answered.
        answer: its answer.
        parameters: parameters of the request: `coverage`, a number, and `by_class`.

    Raises:
        UsageError: a coverage that is not a number between 0 and 1 or cannot be promised, or `by_class` without one.
    """
    by_class, coverage = parameters.get("by_class", False), parameters.get("coverage")
    if not isinstance(by_class, bool):
        raise UsageError("'by_class' must be true or false.")
    if coverage is None:
        if by_class:
            raise UsageError(_ALONE, "Add coverage=0.95.")
        return {}
    if isinstance(coverage, bool) or not isinstance(coverage, int | float):
        raise UsageError(_NO_COVERAGE)
    try:
        share = float(coverage)
    except OverflowError as error:
        raise UsageError(_NO_COVERAGE) from error
    return {"set": _predictions(model, answer).members(share, by_class=by_class)}


def _predictions(model: ServedModel, answer: Answer) -> Predictions:
    statistics = model.classifier.statistics
    return Predictions(model.class_names, answer.logits, answer.probabilities, statistics=statistics)


def _flag(text: str | None) -> bool:
    if text not in (None, "true", "false"):
        raise UsageError("'by_class' must be true or false.")
    return text == "true"
