"""One step of training: forward pass, loss, backward pass, update of the weights."""

import math
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from torchstone_train.compute.precision import Precision
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.training.distill import distillation_loss

_WARM_UP: Final = 0.25
_FIRST_FACTOR: Final = 0.04
"""Of the one-cycle schedule: share of the steps in which the rate rises, and the factor that it rises from."""


class Optimization:
    """The optimiser of a training with its learning-rate schedule and loss scaling.

    Args:
        recipe: says which, and how.
        model: uint8 images (N, C, H, W) to logits (N, K).
        precision: precision of the forward pass.
        num_steps: number of steps of the whole training, if no epoch is left out.
    """

    def __init__(self, recipe: Recipe, model: nn.Module, precision: Precision, num_steps: int) -> None:
        self._recipe = recipe
        self._model = model
        self._precision = precision
        self._num_steps = num_steps
        self._optimizer = make_optimizer(recipe, model)
        self._scaler = precision.make_scaler()
        self._steps_done = 0

    @property
    def learning_rate(self) -> float:
        """The rate of the last step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self, images: Tensor, labels: Tensor, teacher_logits: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Train on a batch.

        Args:
            images: uint8 (n, C, H, W), on the model's device.
            labels: int64 (n).
            teacher_logits: logits of a teacher, float32 (n, K); None without one.

        Returns:
            The logits (n, K), float32, and the mean loss; neither carries gradients.
        """
        rate = self._recipe.lr * schedule_factor(self._recipe.schedule, self._steps_done / self._num_steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with self._precision.autocast():
            logits = self._model(images).float()
        loss = self._loss(logits, labels, teacher_logits)
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._steps_done += 1
        return logits.detach(), loss.detach()

    def _loss(self, logits: Tensor, labels: Tensor, teacher_logits: Tensor | None) -> Tensor:
        recipe = self._recipe
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        if teacher_logits is None:
            return loss
        distilled = distillation_loss(logits, teacher_logits, recipe.distill_temperature)
        return recipe.distill_weight * distilled + (1 - recipe.distill_weight) * loss

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "steps_done": self._steps_done,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        self._steps_done = int(state["steps_done"])


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over all parameters of a model."""
    parameters = _parameter_groups(recipe, model)
    fused = True if recipe.fused else None  # None leaves the choice to PyTorch
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
            fused=fused,
        )
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused)


def _parameter_groups(recipe: Recipe, model: nn.Module) -> list[dict[str, Any]]:
    parameters = list(model.parameters())
    if recipe.decay_biases:
        return [{"params": parameters}]
    # Biases, and scale and shift of normalisation, are vectors; weights have two axes or more.
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [{"params": weights}, {"params": vectors, "weight_decay": 0.0}]


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
