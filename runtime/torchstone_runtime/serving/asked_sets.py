"""`POST /predict?coverage=0.95`: the set of classes that holds the right one, in the answer to a picture."""

from collections.abc import Mapping
from typing import Any

from torchstone_runtime.errors import UsageError
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.serving.core.served_model import Seen, ServedModel


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
            raise UsageError("'by_class' says how 'coverage' is meant, and none is given.", "Add coverage=0.95.")
        return {}
    try:
        coverage = float(query["coverage"])
    except ValueError as error:
        raise UsageError("'coverage' must be a number between 0 and 1, such as 0.95.") from error
    statistics, answer = model.classifier.statistics, seen.answer
    found = Predictions(model.class_names, answer.logits, answer.probabilities, statistics=statistics)
    return {"set": list(found.sets(coverage, by_class=by_class)[0])}


def _flag(text: str | None) -> bool:
    if text not in (None, "true", "false"):
        raise UsageError("'by_class' must be true or false.")
    return text == "true"
