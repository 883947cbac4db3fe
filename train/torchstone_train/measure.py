"""Loss and metrics of a network over a split, with the runtime's own metrics."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchstone_runtime.metrics import Metrics, metrics_from_confusion
from torchstone_train.batches import Batches

_BATCH = 512


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


class Tally:
    """Sums losses and decisions on the device, so that no step waits for the GPU.

    Args:
        class_names: K names, in the order of the labels.
        device: of the tensors that are added.
    """

    def __init__(self, class_names: tuple[str, ...], device: torch.device) -> None:
        self._class_names = class_names
        num_classes = len(class_names)
        self._confusion = torch.zeros(num_classes * num_classes, dtype=torch.int64, device=device)
        # On the CPU in double: float32 sums of many thousand losses would drift. Every device has it.
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self.count = 0

    def add(self, logits: Tensor, labels: Tensor, mean_loss: Tensor) -> None:
        """Take in a batch: logits (n, K), labels (n), and its mean loss."""
        cells = labels * len(self._class_names) + logits.detach().argmax(dim=1)
        self._confusion += torch.bincount(cells, minlength=len(self._confusion))
        self._loss += mean_loss.detach().double() * len(labels)
        self.count += len(labels)

    def result(self) -> Measured:
        """Return what was taken in; at least one sample must have been."""
        num_classes = len(self._class_names)
        confusion = self._confusion.cpu().numpy().reshape(num_classes, num_classes)
        return Measured(float(self._loss) / self.count, metrics_from_confusion(confusion, self._class_names))


@torch.inference_mode()
def measure(model: nn.Module, batches: Batches, class_names: tuple[str, ...], device: torch.device) -> Measured:
    """Return the cross-entropy (without label smoothing) and metrics of a model over all its samples."""
    model.eval()
    tally = Tally(class_names, device)
    for images, labels in batches.walk(torch.arange(len(batches)), _BATCH):
        logits = model(images).float()
        tally.add(logits, labels, nn.functional.cross_entropy(logits, labels))
    return tally.result()
