"""One step of training: forward pass, loss, backward pass, update of the weights."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from torchstone_train.compute.precision import Precision
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.training.distill import distillation_loss
from torchstone_train.training.parameter_groups import parameter_groups
from torchstone_train.training.schedule import Schedule

_KEPT_OF_A_WEIGHT: Final = 2
"""Numbers that Adam keeps of each weight from its first step on; SGD keeps one."""


class Optimization:
    """The optimiser of a training with its learning-rate schedule and loss scaling.

    Args:
        recipe: says which, and how.
        model: uint8 images (N, C, H, W) to logits (N, K).
        precision: precision of the forward pass.
        num_steps: number of batches of the whole training, if no epoch is left out.
        class_weights: weight of each class in the loss, float32 (K), on the model's device; all 1 if None.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: nn.Module,
        precision: Precision,
        num_steps: int,
        class_weights: Tensor | None = None,
    ) -> None:
        self._recipe = recipe
        self._model = model
        self._precision = precision
        self._class_weights = class_weights
        self._schedule = Schedule.of(recipe, num_steps)
        self._optimizer = make_optimizer(recipe, model)
        self._scaler = precision.make_scaler()
        self._steps_done = 0
        self._gathers = False

    def wrap(self, model: nn.Module) -> None:
        """Go on with the same parameters behind another wrapper."""
        self._model = model

    @property
    def learning_rate(self) -> float:
        """The rate of the last step, the largest of all layers."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(
        self,
        images: Tensor,
        targets: Tensor,
        teacher_logits: Tensor | None = None,
        *,
        share: float = 1.0,
        updates: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Train on a batch.

        Args:
            images: uint8 (n, C, H, W), on the model's device.
            targets: labels, int64 (n), or probabilities, float32 (n, K).
            teacher_logits: logits of a teacher, float32 (n, K); None without one.
            share: share of this batch in the images of an update.
            updates: whether the gradients since the last update make one now.

        Returns:
            The logits (n, K), float32, and the mean loss; neither carries gradients.
        """
        rate = self._recipe.lr * self._schedule.factor(self._steps_done)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        if not self._gathers:
            # Before the forward pass: the CUDA graphs of a compiled model reuse the memory of the last gradients.
            self._optimizer.zero_grad(set_to_none=True)
        with self._precision.autocast():
            logits = self._model(images).float()
        loss = self._loss(logits, targets, teacher_logits)
        self._scaler.scale(loss if share == 1 else loss * share).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if updates:
            self._update()
        self._gathers = not updates
        self._steps_done += 1
        return logits.detach(), loss.detach()

    def trial(self, images: Tensor, targets: Tensor) -> None:
        """Compute loss and gradients of a batch and forget them: whether they fit into the memory is asked for.

        Args:
            images: uint8 (n, C, H, W), on the model's device.
            targets: labels, int64 (n).

        Raises:
            torch.OutOfMemoryError: they don't, with what the optimiser keeps of each weight.
        """
        kept = [torch.empty_like(weight) for weight in self._model.parameters() for _ in range(_KEPT_OF_A_WEIGHT)]
        try:
            self.rehearse(images, targets)
        finally:
            del kept

    def rehearse(self, images: Tensor, targets: Tensor) -> None:
        """Compute loss and gradients of a batch and forget them; batch norm takes its statistics in.

        Args:
            images: uint8 (n, C, H, W), on the model's device.
            targets: labels, int64 (n).
        """
        self._optimizer.zero_grad(set_to_none=True)
        try:
            with self._precision.autocast():
                logits = self._model(images).float()
            self._loss(logits, targets, None).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        finally:
            self._optimizer.zero_grad(set_to_none=True)

    def _update(self) -> None:
        if self._recipe.clip_norm:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._model.parameters(), self._recipe.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def _loss(self, logits: Tensor, targets: Tensor, teacher_logits: Tensor | None) -> Tensor:
        recipe = self._recipe
        loss = self._weighted_cross_entropy(logits, targets)
        if teacher_logits is None:
            return loss
        weights = None if self._class_weights is None else _image_weights(self._class_weights, targets)
        distilled = distillation_loss(logits, teacher_logits, recipe.distill_temperature, weights)
        return recipe.distill_weight * distilled + (1 - recipe.distill_weight) * loss

    def _weighted_cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        smoothing = self._recipe.label_smoothing
        if self._class_weights is None:
            return nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        # Not PyTorch's `weight`: that divides by the batch's own sum of weights, so that a rare class counts less in
        # the batches where it occurs, and weighs the smoothed part by each class that it is spread over.
        losses = nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
        return (losses * _image_weights(self._class_weights, targets)).mean()

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
        if state["scaler"]:  # it has none where the training began without fp16, as on another device
            self._scaler.load_state_dict(state["scaler"])
        self._steps_done = int(state["steps_done"])


def _image_weights(class_weights: Tensor, targets: Tensor) -> Tensor:
    # Of a mixed image the mean of its classes' weights, as the target shares them out.
    return class_weights[targets] if targets.ndim == 1 else targets @ class_weights


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over all parameters of a model."""
    parameters = parameter_groups(recipe, model)
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
