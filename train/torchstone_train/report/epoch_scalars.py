"""The figures of an epoch by the names under which logs show them."""

from collections.abc import Iterator
from typing import Final

from torchstone_train.training.observer import Record

_PARTS: Final = ("train", "validation")
_PLAIN: Final = ("learning_rate", "images_per_second")


def epoch_scalars(record: Record) -> Iterator[tuple[str, float]]:
    """Yield names such as `loss/validation` with their values, from a line of `history.jsonl`."""
    for key in record["train"]:
        for part in _PARTS:
            yield f"{key}/{part}", record[part][key]
    for key in _PLAIN:
        yield key, record[key]
