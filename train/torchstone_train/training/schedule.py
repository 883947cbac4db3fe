"""How the learning rate goes over a training."""

import math
from dataclasses import dataclass
from typing import Final, Self

from torchstone_train.recipes.recipe import Recipe

_WARM_UP: Final = 0.25
_FIRST_FACTOR: Final = 0.04
"""Of the one-cycle schedule: share of the steps in which the rate rises, and the factor that it rises from."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What the learning rate is multiplied with at each step.

    The head's epochs have the whole rate; then it rises linearly over the warm-up, and the named schedule is laid over
    what is left.

    Attributes:
        name: schedule as for `schedule_factor`.
        num_steps: steps of the whole training, if no epoch is left out.
        head_steps: steps in which the head is trained alone; warmup_steps: steps of the warm-up after them.
    """

    name: str
    num_steps: float
    head_steps: float = 0
    warmup_steps: float = 0

    @classmethod
    def of(cls, recipe: Recipe, num_steps: float) -> Self:
        """Return a recipe's schedule over a number of steps."""
        epoch = num_steps / recipe.epochs
        return cls(recipe.schedule, num_steps, recipe.head_epochs * epoch, recipe.warmup_epochs * epoch)

    def factor(self, steps_done: float) -> float:
        """Return the factor for the step after those that are done."""
        done = steps_done - self.head_steps
        if done < 0:
            return 1.0
        if done < self.warmup_steps:
            return (done + 1) / (self.warmup_steps + 1)
        left = self.num_steps - self.head_steps - self.warmup_steps
        return schedule_factor(self.name, (done - self.warmup_steps) / left if left else 1.0)


def schedule_factor(schedule: str, progress: float) -> float:
    """Return what the learning rate is multiplied with.

    Args:
        schedule: `constant`; `cosine`: from 1 to 0 along half a cosine; `one-cycle`: linearly from 0.04 to 1 over the
            first quarter, then along half a cosine to 0 (after L. N. Smith, arXiv 1708.07120).
        progress: share of the steps that are done, 0 to 1.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return _half_cosine(progress)
    if progress < _WARM_UP:
        return _FIRST_FACTOR + (1 - _FIRST_FACTOR) * progress / _WARM_UP
    return _half_cosine((progress - _WARM_UP) / (1 - _WARM_UP))


def _half_cosine(progress: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
