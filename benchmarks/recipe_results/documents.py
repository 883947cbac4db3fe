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
