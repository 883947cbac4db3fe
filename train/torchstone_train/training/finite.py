"""A loss that is not a number ends a training, and the step where it happened is named."""

import math

import torch
from torch import Tensor


class NonFiniteLossError(ArithmeticError):
    """A loss is NaN or infinite.

    Attributes:
        epoch: number of the epoch, from 1.
        step: number of the step in the epoch, from 1; None where it is the loss over the validation split.
    """

    def __init__(self, epoch: int, step: int | None, value: float) -> None:
        what, where = ("loss", f", step {step}") if step is not None else ("validation loss", "")
        super().__init__(f"the {what} became {value} in epoch {epoch}{where}")
        self.epoch = epoch
        self.step = step


class FiniteCheck:
    """Finds the first step whose loss is not a number, looking only now and then.

    Args:
        epoch: number of the epoch that the steps belong to.
        every: steps between two looks; on a GPU each look waits for it.
    """

    def __init__(self, epoch: int, every: int) -> None:
        self._epoch = epoch
        self._every = every
        self._steps_seen = 0
        self._losses: list[Tensor] = []

    def add(self, loss: Tensor) -> None:
        """Take in the next step's loss; errors as for `look`."""
        self._losses.append(loss)
        if len(self._losses) >= self._every:
            self.look()

    def look(self) -> None:
        """Look at the losses that were added since the last look.

        Raises:
            NonFiniteLossError: one is not a number.
        """
        values = torch.stack(self._losses).tolist() if self._losses else []
        for offset, value in enumerate(values, start=1):
            if not math.isfinite(value):
                raise NonFiniteLossError(self._epoch, self._steps_seen + offset, value)
        self._steps_seen += len(values)
        self._losses.clear()
