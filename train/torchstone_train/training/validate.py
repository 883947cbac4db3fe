"""What a network makes of a labelled split: loss and metrics (the runtime's own), and each prediction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchstone_runtime.arrays import Float32Array, Int64Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.metrics.classification import Metrics, metrics_from_confusion
from torchstone_runtime.metrics.confusion import ConfusionCells
from torchstone_train.compute.distributed import World
from torchstone_train.compute.inference_batch import inference_batches
from torchstone_train.data.batches import Batches
from torchstone_train.networks.penultimate import PenultimateInput

_BATCH = 512
_ALONE = World()


@dataclass(frozen=True, eq=False, slots=True)
class EpochMetrics:
    """Mean loss over the samples, and the metrics of the confusion matrix."""

    loss: float
    metrics: Metrics

    def to_json(self) -> dict[str, Any]:
        """Return loss, accuracy, balanced accuracy, and precision, recall and F1 (macro and weighted)."""
        macro, weighted = self.metrics.macro, self.metrics.weighted
        return {
            "loss": self.loss,
            "accuracy": self.metrics.accuracy,
            "balanced_accuracy": self.metrics.balanced_accuracy,
            "precision_macro": macro.precision,
            "recall_macro": macro.recall,
            "f1_macro": macro.f1,
            "precision_weighted": weighted.precision,
            "recall_weighted": weighted.recall,
            "f1_weighted": weighted.f1,
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class ValidationPass(LabelledPredictions):
    """The predictions of a trained network for a labelled split, and their mean cross-entropy."""

    loss: float

    @classmethod
    def of_answers(cls, split: Split, answers: "NetworkAnswers") -> "ValidationPass":
        """Return a network's answers to the images of a split."""
        found = (split.ids, split.class_names, split.labels, answers.predicted, answers.confidence)
        return cls(*found, split=split, loss=answers.figures.loss)

    def epoch_metrics(self) -> EpochMetrics:
        """Return loss and metrics alone."""
        return EpochMetrics(self.loss, self.metrics)


@dataclass(frozen=True, eq=False, slots=True)
class NetworkAnswers:
    """What a network made of every image of a split, in one pass.

    Attributes:
        figures: mean loss and metrics.
        predicted: predicted class of each image, int64 [N].
        confidence: probability of each predicted class, float32 [N].
        features: penultimate features of the images that they were asked of, float32 [n, F].
    """

    figures: EpochMetrics
    predicted: Int64Array
    confidence: Float32Array
    features: Float32Array


class RunningMetrics:
    """Sums losses and decisions on the device, so that no step waits for the GPU.

    Args:
        class_names: K names, in the order of the labels.
        device: device of the tensors that are added.
        world: the processes whose samples are counted together.
    """

    def __init__(self, class_names: tuple[str, ...], device: torch.device, world: World = _ALONE) -> None:
        self._class_names = class_names
        self._world = world
        # One number per sample: a whole matrix would be K x K numbers, touched at every step. The first one is for a
        # process that has no samples.
        self._places = [torch.zeros(0, dtype=torch.int64, device=device)]
        # On the CPU in double: float32 sums of many thousand losses would drift. Apple GPUs lack it.
        self._wide = torch.float32 if device.type == "mps" else torch.float64
        self._loss = torch.zeros((), dtype=self._wide, device=device)

    def add(self, logits: Tensor, labels: Tensor, mean_loss: Tensor) -> None:
        """Take in a batch: logits (n, K), labels (n), and its mean loss."""
        self._places.append(labels * len(self._class_names) + logits.detach().argmax(dim=1))
        self._loss += mean_loss.detach().to(self._wide) * len(labels)

    def result(self) -> EpochMetrics:
        """Return what all processes took in; at least one sample must have been."""
        places = self._world.gather(torch.cat(self._places)).cpu().numpy()
        loss = float(self._world.sum(self._loss)) / len(places)
        cells = ConfusionCells.of_places(places, len(self._class_names))
        return EpochMetrics(loss, metrics_from_confusion(cells, self._class_names))


@torch.inference_mode()
def validate(
    model: nn.Module, batches: Batches, class_names: tuple[str, ...], device: torch.device, world: World = _ALONE
) -> EpochMetrics:
    """Return cross-entropy (without label smoothing) and metrics of a model over all samples, shared by the world."""
    metrics = RunningMetrics(class_names, device, world)
    for logits, labels in _walk(model, batches, world.share(torch.arange(len(batches)), even=False)):
        metrics.add(logits, labels, nn.functional.cross_entropy(logits, labels))
    return metrics.result()


@torch.inference_mode()
def answer_all(
    model: nn.Module, batches: Batches, class_names: tuple[str, ...], device: torch.device, featured: Int64Array
) -> NetworkAnswers:
    """Let a network decide every image, each in one pass that gives figures, predictions and features.

    Args:
        model: network, on `device`; it is left in evaluation mode.
        batches: images and labels.
        class_names: K names, in the order of the labels.
        device: device of the model.
        featured: indices of the images whose penultimate features are kept, int64, ascending.
    """
    metrics = RunningMetrics(class_names, device)
    predicted, confidence, features, done = [], [], [], 0
    with PenultimateInput(model, len(class_names)) as penultimate:
        for logits, labels in _walk(model, batches, torch.arange(len(batches))):
            metrics.add(logits, labels, nn.functional.cross_entropy(logits, labels))
            best = torch.softmax(logits, dim=1).max(dim=1)
            predicted.append(best.indices)
            confidence.append(best.values)
            begin, end = np.searchsorted(featured, (done, done + len(logits)))
            rows = torch.from_numpy(featured[begin:end] - done).to(device)
            features.append(penultimate.vectors(logits)[rows].float())
            done += len(logits)
    found = [torch.cat(column).cpu().numpy() for column in (predicted, confidence, features)]
    return NetworkAnswers(metrics.result(), *found)


def _walk(model: nn.Module, batches: Batches, indices: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Walk through logits (n, K), float32, and labels (n) of the samples at `indices`, which may be none."""
    model.eval()
    for images, labels in batches.walk(indices, _BATCH) if len(indices) else ():  # an empty batch has no mean loss
        parts = inference_batches(images)
        for part, own in zip(parts, torch.split(labels, [len(part) for part in parts]), strict=True):
            yield model(part).float(), own
