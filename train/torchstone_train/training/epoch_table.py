"""The table of a training: one header, and one row of at most 80 columns an epoch."""

from collections.abc import Mapping
from typing import Any, Final

_EPOCH_WIDTH: Final = 7
_DAY: Final = 86_400
_HOURS_WITHOUT_SECONDS: Final = 10
_FOUR_DECIMALS_BELOW: Final = 10.0
_FOUR_DIGITS_BELOW: Final = 9999.0
_ALL_DIGITS_BELOW: Final = 999_999.0
HEADER: Final = "  epoch     loss  val loss  accuracy      F1      rate  images/s     left"
"""Titles of the columns: the training loss, then loss, accuracy and macro F1 of validation, then how fast it goes."""


def epoch_row(record: Mapping[str, Any], epochs: int, seconds_left: float) -> str:
    """Return the row of an epoch of `history.jsonl`; `best` ends that of the best so far.

    Args:
        record: the epoch.
        epochs: largest number of epochs.
        seconds_left: time that the epochs still to come would take.
    """
    validation = record["validation"]
    cells = (
        f"{_epoch(record['epoch'], epochs):>{_EPOCH_WIDTH}}",
        f"{_loss(record['train']['loss']):>7}",
        f"{_loss(validation['loss']):>8}",
        f"{validation['accuracy']:8.4f}",
        f"{validation['f1_macro']:6.4f}",
        f"{record['learning_rate']:>8.3g}",
        f"{_rate(record['images_per_second']):>8}",
        f"{time_left(seconds_left):>7}",
        "best" if record["best"] else "",
    )
    return "  ".join(cells).rstrip()


def time_left(seconds: float) -> str:
    """Return a time in at most 7 characters: `0:09`, `1:02:03`, `3d 4h`; days alone from 100 of them."""
    if seconds >= 100 * _DAY:
        return f"{min(seconds / _DAY, 99_999):.0f}d"
    whole = round(seconds)
    if whole >= 100 * 3600:
        return f"{whole // _DAY}d {whole % _DAY // 3600}h"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= _HOURS_WITHOUT_SECONDS:
        return f"{hours}h {minutes:02}m"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _epoch(epoch: int, epochs: int) -> str:
    whole = f"{epoch}/{epochs}"
    return whole if len(whole) <= _EPOCH_WIDTH else str(epoch)


def _loss(loss: float) -> str:
    if abs(loss) < _FOUR_DECIMALS_BELOW:
        return f"{loss:.4f}"
    return f"{loss:.4g}" if abs(loss) < _FOUR_DIGITS_BELOW else f"{loss:.1e}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate < _ALL_DIGITS_BELOW else f"{rate:.2g}"
