"""What a manifest says of the results: of few classes everything, of many the worst. The certificate holds the rest."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from torchstone_runtime.metrics.confusion import MOST_DENSE, ConfusionCells

SHOWN: Final = 10
_BY_CLASS: Final = ("per_class", "confusion_cells", "classes_without_samples")


def headline_metrics(metrics: Mapping[str, Any], class_names: Sequence[str]) -> dict[str, Any]:
    """Return metrics as the manifest holds them, which every start of a model reads.

    Args:
        metrics: metrics as `Metrics.to_json` returns them.
        class_names: names of the K classes.

    Returns:
        The metrics themselves up to `MOST_DENSE` classes. Of more, in the place of every class: `lowest_f1`, up
        to 10 entries of `per_class`, and `most_confused`, up to 10 of `true`, `predicted` (names) and `samples`.
    """
    if len(class_names) <= MOST_DENSE:
        return dict(metrics)
    headline = {key: value for key, value in metrics.items() if key not in _BY_CLASS}
    return headline | {"lowest_f1": lowest_f1(metrics, SHOWN), "most_confused": _most_confused(metrics, class_names)}


def lowest_f1(metrics: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return up to `count` entries of `per_class` that occur, the lowest F1 first; of equal ones the more frequent."""
    occurring = [item for item in metrics["per_class"] if item["f1"] is not None]
    return sorted(occurring, key=lambda item: (item["f1"], -item["support"]))[:count]


def _most_confused(metrics: Mapping[str, Any], class_names: Sequence[str]) -> list[dict[str, Any]]:
    found = ConfusionCells.from_json(metrics, len(class_names)).confusions()
    cells = zip(found.true.tolist(), found.predicted.tolist(), found.count.tolist(), strict=True)
    return [
        {"true": class_names[true], "predicted": class_names[predicted], "samples": samples}
        for (true, predicted, samples), _ in zip(cells, range(SHOWN), strict=False)
    ]
