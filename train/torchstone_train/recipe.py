"""What a recipe is: a named, complete training configuration. Free of PyTorch, so that listing recipes is quick."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from torchstone_runtime.errors import UsageError

OptimizerName = Literal["adam", "adamw", "sgd"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that decides how a model is trained, but for the data and the seed.

    Attributes:
        name: by which it is chosen.
        summary: one line for people.
        architecture: a name of `torchstone_train.architectures`.
        optimizer: `adam`, `adamw` or `sgd` (with Nesterov-free momentum).
        lr: learning rate, constant over the training.
        momentum: of `sgd`; the others ignore it.
        weight_decay: L2 penalty (`adamw`: decoupled).
        label_smoothing: share of the target spread evenly over all classes, 0 to 1.
        batch_size: images a step; the last batch of an epoch may be smaller.
        epochs: at most.
        patience: epochs without improvement after which training stops; 0 never stops early.
        min_delta: smallest gain of validation accuracy (0 to 1) that counts as improvement.
        val_fraction: share of the training data, of each class, that is held out for validation.
        mean: subtracted from pixels scaled to 0..1, the same for each channel.
        std: what the difference is divided by.
    """

    name: str
    summary: str
    architecture: str
    optimizer: OptimizerName = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    batch_size: int = 64
    epochs: int = 10
    patience: int = 5
    min_delta: float = 0.0
    val_fraction: float = 0.2
    mean: float = 0.5
    std: float = 0.5

    def __post_init__(self) -> None:
        _require(self.optimizer in get_args(OptimizerName), "--optimizer", f"one of {get_args(OptimizerName)}")
        _require(math.isfinite(self.lr) and self.lr > 0, "--lr", "a number greater than 0")
        _require(0 <= self.weight_decay < math.inf, "--weight-decay", "0 or more")
        _require(0 <= self.label_smoothing < 1, "--label-smoothing", "at least 0 and less than 1")
        _require(self.batch_size >= 1, "--batch-size", "1 or more")
        _require(self.epochs >= 1, "--epochs", "1 or more")
        _require(self.patience >= 0, "--patience", "0 (never stop early) or more")
        _require(0 <= self.min_delta < 1, "--min-delta", "at least 0 and less than 1")
        _require(0 < self.val_fraction < 1, "--val-fraction", "between 0 and 1")

    def with_overrides(self, overrides: Mapping[str, Any]) -> "Recipe":
        """Return the recipe with every given field that is not None replaced.

        Raises:
            UsageError: a value is out of range; the message names the option.
        """
        return replace(self, **{name: value for name, value in overrides.items() if value is not None})

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Recipe":
        """Read what `to_json` wrote; fields this version doesn't know are an error of type TypeError."""
        return cls(**data)


def _require(fulfilled: bool, option: str, expected: str) -> None:
    if not fulfilled:
        raise UsageError(f"{option} must be {expected}.")
