"""Training steps through `torch.compile`, compiled before the clock of an epoch runs."""

import time
from typing import Final

import torch
from torch import Tensor, nn

from torchstone_train.compute.compilation import compiling
from torchstone_train.networks.image_classifier import ImageClassifier
from torchstone_train.recipes.recipe import CompileName
from torchstone_train.training.optimization import Optimization
from torchstone_train.training.task import TrainingTask

_REHEARSALS: Final = 3
"""Steps before the first that counts: one compiles, and a CUDA graph is recorded in the second or third."""


class CompiledSteps(nn.Module):
    """A model for its training steps: batches of one size are compiled, others go through the model as it is.

    An epoch's last batch is often smaller. Compiling for any size would cost speed in all steps, and another size as
    long a compilation as the first. Validation, checkpoints and averages use the model itself, whose parameters these
    are: no name in its state dict changes.

    Args:
        model: model whose steps are compiled.
        mode: mode of `torch.compile`.
        size: images of a batch that is compiled.
    """

    def __init__(self, model: ImageClassifier, mode: CompileName, size: int) -> None:
        super().__init__()
        self.model = model
        self._size = size
        # What an earlier training of this process compiled, such as another fold's, would count as recompilations.
        torch.compiler.reset()
        self._compiled = torch.compile(model.forward, mode=mode, dynamic=False)

    @property
    def network(self) -> nn.Module:
        """The network behind the normalisation."""
        return self.model.network

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of uint8 images (N, C, H, W)."""
        if len(images) != self._size:
            logits: Tensor = self.model(images)
            return logits
        # The changes of augmentation leave several layouts, each of which would be compiled.
        return self._compiled(images.contiguous())


class StepCompiler:
    """Compiles the steps of a task ahead, and keeps the time that it took.

    Args:
        task: task whose recipe has a mode of `torch.compile`.
        size: images of a batch of one process.

    Attributes:
        steps: the model for the training steps.
        seconds: seconds that compilations have taken since `taken` was called.
    """

    def __init__(self, task: TrainingTask, size: int) -> None:
        self._task = task
        self._size = size
        self.steps = CompiledSteps(task.model, task.recipe.compile, size)
        self.seconds = 0.0
        self._is_current = False

    @classmethod
    def of(cls, task: TrainingTask, size: int) -> "StepCompiler | None":
        """Return the compiler of a task; None where its recipe compiles nothing."""
        return None if task.recipe.compile == "off" else cls(task, size)

    def compile(self, optimization: Optimization, *, anew: bool) -> bool:
        """Compile the steps, where they aren't yet, by computing some whose gradients are forgotten.

        The weights, and the statistics of batch norm, stay as they are.

        Args:
            optimization: optimization whose model is `steps`, or wraps it.
            anew: whether other parameters are trained than in the last steps.

        Returns:
            Whether something was compiled.

        Raises:
            UsageError: the network cannot be compiled.
            RuntimeError: the device's memory does not hold a batch.
        """
        if self._is_current and not anew:
            return False
        task, started = self._task, time.perf_counter()
        images, labels = next(iter(task.train.walk(torch.arange(self._size), self._size)))
        kept = [buffer.clone() for buffer in task.model.buffers()]
        with compiling(task.recipe.compile):
            for _ in range(_REHEARSALS):
                optimization.rehearse(images, labels)
            if task.device.type == "cuda":
                torch.cuda.synchronize()
        for buffer, before in zip(task.model.buffers(), kept, strict=True):
            buffer.copy_(before)
        self._is_current = True
        self.seconds += time.perf_counter() - started
        return True

    def taken(self) -> float:
        """Return the seconds of the compilations since the last call; 0 where there was none."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds
