"""The five documents that Torchstone started from: what each trained, on what, and what it reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Document:
    """One starting document.

    Attributes:
        number: of the document.
        recipe: the recipe that stands for it.
        dataset: it was trained on.
        reported: test metrics that it states, each 0 to 1: `accuracy`, and `precision_weighted`, `recall_weighted`,
            `f1_weighted` where it states them.
        remark: what it says besides.
    """

    number: str
    recipe: str
    dataset: str
    reported: Mapping[str, float] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """Test accuracy of a recipe's exported file over several seeds; docs/results.md says how it was measured.

    Attributes:
        dataset: it was trained and tested on.
        mean, deviation: of the accuracy, 0 to 1; the deviation is the standard one with n - 1.
        seeds: how many trainings.
    """

    dataset: str
    mean: float
    deviation: float
    seeds: int

    def __str__(self) -> str:
        return f"measured: test accuracy {self.mean:.4f} ± {self.deviation:.4f} on {self.dataset}, {self.seeds} seeds"


DOCUMENTS: Final[dict[str, Document]] = {
    document.recipe: document
    for document in (
        Document("000", "sgd-cnn", "fashion-mnist", remark="“strong performance”, no figure"),
        Document("001", "mlp", "fashion-mnist", remark="no figure"),
        Document(
            "002",
            "cnn3",
            "fashion-mnist",
            {"accuracy": 0.9140, "precision_weighted": 0.9139, "recall_weighted": 0.9140, "f1_weighted": 0.9133},
        ),
        Document("003", "mnist-cnn", "mnist", {"accuracy": 0.98}),
        Document("004", "bn-cnn", "fashion-mnist", {"accuracy": 0.916}, "about; stopped at epoch 16, train 0.942"),
    )
}

MEASURED: Final[dict[str, Measured]] = {
    "bn-cnn": Measured("fashion-mnist", 0.9171, 0.0014, 3),
    "cnn3": Measured("fashion-mnist", 0.9150, 0.0021, 3),
    "mlp": Measured("fashion-mnist", 0.8820, 0.0020, 3),
    "mnist-cnn": Measured("mnist", 0.9904, 0.0008, 3),
    "sgd-cnn": Measured("fashion-mnist", 0.9046, 0.0034, 3),
}
"""Taken from docs/results.md; a test compares the two."""
