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
        best: the best value of an epoch so far.
        best_epoch: the epoch to be kept (from 1): that of `best`; 0 before one reaches the floor.
        since_best: epochs since the best one.
        floor: value before the first epoch, which an epoch to be kept reaches. Patience does not count from it: the
            first steps of a training may lose what later ones regain.
    """

    patience: int
    min_delta: float
    best: float = field(default=float("-inf"))
    best_epoch: int = 0
    since_best: int = 0
    floor: float = field(default=float("-inf"))

    def update(self, epoch: int, value: float) -> bool:
        """Take in an epoch's value; return whether it is to be kept: the best so far by more than `min_delta`."""
        if not value > self.best + self.min_delta:
            self.since_best += 1
            return False
        self.best, self.since_best = value, 0
        if value < self.floor:
            return False
        self.best_epoch = epoch
        return True

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return 0 < self.patience <= self.since_best
