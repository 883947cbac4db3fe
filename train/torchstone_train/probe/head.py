"""The last layer of a backbone as a logistic regression on the features of the training images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from torchstone_runtime.arrays import Float32Array
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.batches import Batches
from torchstone_train.networks.backbones.head import head_of
from torchstone_train.probe.backbone_features import features_of
from torchstone_train.probe.feature_cache import FOLDER, FeatureCache, cache_key
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.class_balance import are_balanced
from torchstone_train.training.progress import Progress
from torchstone_train.training.task import TrainingTask

_TOLERANCE: Final = 1e-3
"""Accepted difference between the network's logits and the regression's, of their largest value."""
_CHECKED: Final = 8
_LARGEST: Final = 4_000_000
"""Images times classes up to which a regression takes minutes at most."""


class _NotFiniteError(DataError):
    """Features that are NaN or infinite, of which nothing can be learnt."""


@dataclass(frozen=True, eq=False, slots=True)
class FittedHead:
    """A last layer that was fitted and laid into its network.

    Attributes:
        features: features of the training images, float32 (n, F).
        logits: logits of the training images, float32 (n, K).
        strength: inverse strength of the regularisation (scikit-learn's C).
        log_loss: mean log loss on held-out images by each strength that was tried.
        balanced: whether rare classes counted as much as frequent ones.
        converged: whether the regression came to its end.
    """

    features: Float32Array
    logits: Tensor
    strength: float
    log_loss: dict[float, float]
    balanced: bool
    converged: bool


def fit_head(task: TrainingTask, images: Batches, spec: InputSpec, beside: Path, progress: Progress) -> FittedHead:
    """Fit the last layer of a task's backbone on the features of its training images, and lay it into the network.

    Args:
        task: task whose recipe names the last layer; its model is left in evaluation mode.
        images: training images as the network will be given them when it is used, without random changes.
        spec: input of the network.
        beside: run directory, beside which features are kept.
        progress: display that is told of the progress.

    Raises:
        UsageError, DataError: the backbone has no features that one linear layer makes its answer of.
    """
    from torchstone_train.probe.regression import fit_last_layer  # noqa: PLC0415 - scikit-learn takes a second

    features = _features(task, images, spec, beside, progress)
    _, head = head_of(task.model.network, task.recipe.head)
    balanced = are_balanced(task.recipe.class_weights, task.labels)
    layer = fit_last_layer(
        features,
        task.labels.numpy(),
        len(task.class_names),
        balanced=balanced,
        intercept=head.bias is not None,
        seed=task.seed,
        say=progress.say,
    )
    if not layer.converged:
        progress.say("Warning: the regression had not converged after 1,000 iterations.")
    _lay(head, layer.weight, layer.bias)
    logits = torch.from_numpy(features) @ torch.from_numpy(layer.weight).T + torch.from_numpy(layer.bias)
    _require_last(task, images, logits[:_CHECKED])
    return FittedHead(features, logits, layer.strength, layer.losses, balanced, layer.converged)


def begin_head(
    task: TrainingTask, images: Batches, spec: InputSpec, run: RunDirectory, progress: Progress, *, resumed: bool
) -> bool:
    """Fit the last layer before a fine-tuning whose recipe says so; fresh where the backbone has no such features.

    Returns whether it was fitted, the same in every process.

    From a fresh layer the first steps spoil the features that were pretrained (A. Kumar et al., "Fine-Tuning can
    Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022, arXiv 2202.10054). A run that goes on
    has its weights in its checkpoint.

    Args:
        task: task before its training.
        images: training images without random changes, see `fit_head`.
        spec: input of the network.
        run: run of the training, beside which features are kept.
        progress: display that is told of the progress.
        resumed: whether the run goes on with what it has; else what stands there is about to be replaced.
    """
    if task.recipe.head_start != "probe" or not task.pretrained or (resumed and run.has_checkpoint):
        return False
    fitted = False
    with task.world.first_goes_ahead():  # the others take its weights when the model is wrapped
        if task.world.is_first:
            fitted = _begin(task, images, spec, run.path, progress)
    return task.world.anyone(fitted, 0, task.device)


def _begin(task: TrainingTask, images: Batches, spec: InputSpec, beside: Path, progress: Progress) -> bool:
    if len(task.labels) * len(task.class_names) > _LARGEST:
        progress.say("head     starts from random weights, not as a probe: with this many images it learns soon enough")
        return False
    state = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    try:
        fit_head(task, images, spec, beside, progress)
    except _NotFiniteError:
        raise  # another head would not save the training
    except (UsageError, DataError) as error:
        task.model.load_state_dict(state)
        progress.say(f"head     starts from random weights, not as a probe: {error.lines[0]}")
        return False
    return True


def _features(task: TrainingTask, images: Batches, spec: InputSpec, beside: Path, progress: Progress) -> Float32Array:
    head, network = task.recipe.head, task.model.eval().network
    key = cache_key(network, task.recipe.architecture, head, spec, task.device)
    cache = FeatureCache.open(beside.absolute().parent / FOLDER, key)
    features = features_of(images, task.model, head, cache, progress)
    each = f"{len(features):,} images with {features.shape[1]:,} features each"
    progress.say(f"features {each}, {cache.added:,} computed now")
    if not np.isfinite(features).all():
        raise _NotFiniteError(
            "The features of the backbone are not finite: its weights are damaged, or diverged in their training.",
            "Give other weights: --weights.",
        )
    return features


@torch.inference_mode()
def _require_last(task: TrainingTask, images: Batches, expected: Tensor) -> None:
    first, _ = next(iter(images.walk(torch.arange(len(expected)), len(expected))))
    given = task.model(first).float().cpu()
    if given.shape != expected.shape or float((given - expected).abs().max()) > _TOLERANCE * max(
        1.0, float(expected.abs().max())
    ):
        raise DataError(
            f"The backbone does not give out what its last layer, '{task.recipe.head}', does: a probe can't be folded "
            "into it.",
            "Take another backbone, or the recipe finetune.",
        )


@torch.no_grad()
def _lay(head: nn.Module, weight: Float32Array, bias: Float32Array) -> None:
    target: Tensor = head.weight  # type: ignore[assignment]  # of a linear layer or a convolution
    target.copy_(torch.from_numpy(weight).reshape(target.shape))
    if isinstance(head.bias, Tensor):
        head.bias.copy_(torch.from_numpy(bias))
