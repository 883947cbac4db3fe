"""Loss and metrics of a network over a split, with the runtime's own metrics."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchstone_runtime.metrics.classification import Metrics, metrics_from_confusion
from torchstone_runtime.metrics.confusion import ConfusionCells
from torchstone_train.compute.distributed import World
from torchstone_train.data.batches import Batches

_BATCH = 512
_ALONE = World()


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """Mean loss over the samples, and the metrics of the confusion matrix."""

    loss: float
    metrics: Metrics

    def to_json(self) -> dict[str, Any]:
        """Return loss, accuracy, and precision, recall and F1 (macro and weighted)."""
        macro, weighted = self.metrics.macro, self.metrics.weighted
        return {
            "loss": self.loss,
            "accuracy": self.metrics.accuracy,
            "precision_macro": macro.precision,
            "recall_macro": macro.recall,
            "f1_macro": macro.f1,
            "precision_weighted": weighted.precision,
            "recall_weighted": weighted.recall,
            "f1_weighted": weighted.f1,
        }


class RunningMetrics:
    """Accumulates losses and decisions on the device, so that no step waits for the GPU.

    Args:
        class_names: K names, in the order of the labels.
        device: device of the tensors that are added.
        world: the processes whose samples are counted together.
    """

    def __init__(self, class_names: tuple[str, ...], device: torch.device, world: World = _ALONE) -> None:
        self._class_names = class_names
        self._world = world
        # A number a sample: a whole matrix would be K x K numbers, touched at every step.
        self._places: list[Tensor] = []
        # On the CPU in double: float32 sums of many thousand losses would drift. Every device has it.
        self._loss = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, logits: Tensor, labels: Tensor, mean_loss: Tensor) -> None:
        """Take in a batch: logits (n, K), labels (n), and its mean loss."""
        self._places.append(labels * len(self._class_names) + logits.detach().argmax(dim=1))
        self._loss += mean_loss.detach().double() * len(labels)

    def result(self) -> Measured:
        """Return what all processes took in; at least one sample must have been."""
        places = self._world.gather(torch.cat(self._places)).cpu().numpy()
        loss = float(self._world.sum(self._loss)) / len(places)
        cells = ConfusionCells.of_places(places, len(self._class_names))
        return Measured(loss, metrics_from_confusion(cells, self._class_names))


@torch.inference_mode()
def measure(
    model: nn.Module, batches: Batches, class_names: tuple[str, ...], device: torch.device, world: World = _ALONE
) -> Measured:
    """Return cross-entropy (without label smoothing) and metrics of a model over all samples, shared by the world."""
    model.eval()
    running = RunningMetrics(class_names, device, world)
    share = world.share(torch.arange(len(batches)), even=False)
    for images, labels in batches.walk(share, _BATCH) if len(share) else ():  # an empty batch has no mean loss
        logits = model(images).float()
        running.add(logits, labels, nn.functional.cross_entropy(logits, labels))
    return running.result()
