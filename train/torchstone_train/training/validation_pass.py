"""The last look at the validation split: what the kept weights decide for each of its images, and how surely."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_train.data.batches import Batches
from torchstone_train.training.measure import Measured, RunningMetrics

_BATCH = 512


@dataclass(frozen=True, eq=False, kw_only=True)
class ValidationPass(LabelledPredictions):
    """The decisions of a trained network on a labelled split, and their mean cross-entropy."""

    loss: float

    def measured(self) -> Measured:
        """Return loss and metrics alone."""
        return Measured(self.loss, self.metrics)


@torch.inference_mode()
def pass_over(model: nn.Module, batches: Batches, split: Split, device: torch.device) -> ValidationPass:
    """Let a network decide every image of `batches`, which hold the images of `split` in its order."""
    model.eval()
    running = RunningMetrics(split.class_names, device)
    predicted, confidence = [], []
    for images, labels in batches.walk(torch.arange(len(batches)), _BATCH):
        logits = model(images).float()
        running.add(logits, labels, nn.functional.cross_entropy(logits, labels))
        best = torch.softmax(logits, dim=1).max(dim=1)
        predicted.append(best.indices.cpu().numpy())
        confidence.append(best.values.cpu().numpy())
    found = (split.ids, split.class_names, split.labels, np.concatenate(predicted), np.concatenate(confidence))
    return ValidationPass(*found, split=split, loss=running.result().loss)
