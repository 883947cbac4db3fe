"""When training ends, and which epoch was the best."""

from dataclasses import dataclass, field
from enum import StrEnum


class StopReason(StrEnum):
    """Why a training ended, as `run.json` records it."""

    RUNNING = "running"
    MAX_EPOCHS = "max_epochs"
    EARLY_STOPPING = "early_stopping"
    TARGET_REACHED = "target_reached"
    INTERRUPTED = "interrupted"
    NON_FINITE_LOSS = "non_finite_loss"


@dataclass(slots=True)
class EarlyStopping:
    """Watches a value that should grow.

    Attributes:
        patience: epochs without improvement that are accepted; 0 never stops.
        min_delta: gain over the best value below which an epoch is not an improvement.
        best: the best value so far, and `best_epoch` its epoch (from 1; 0 before the first).
        since_best: epochs since then.
    """

    patience: int
    min_delta: float
    best: float = field(default=float("-inf"))
    best_epoch: int = 0
    since_best: int = 0

    def update(self, epoch: int, value: float) -> bool:
        """Take in an epoch's value; return whether it is the best so far by more than `min_delta`."""
        if value > self.best + (self.min_delta if self.best_epoch else 0.0):
            self.best, self.best_epoch, self.since_best = value, epoch, 0
            return True
        self.since_best += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return 0 < self.patience <= self.since_best
