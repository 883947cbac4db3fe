"""A model's parameters in groups, each with its learning rate and weight decay."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from torchstone_train.networks.backbones.head import head_parameters
from torchstone_train.networks.backbones.stages import stages_of
from torchstone_train.recipes.recipe import Recipe


def parameter_groups(recipe: Recipe, model: nn.Module) -> list[dict[str, Any]]:
    """Return the groups of an optimiser.

    With `layer_decay` each stage of a backbone has groups of its own, whose `factor` the learning rate is multiplied
    with: 1 for the head, which comes first, `layer_decay` for the highest stage, its square for the next, and so on
    (H. Bao et al., arXiv 2106.08254, appendix).

    Args:
        recipe: `layer_decay`, `decay_biases` and `head` say which.
        model: model whose parameters are shared out; with `layer_decay` it has the backbone as `network`.
    """
    if recipe.layer_decay == 1:
        return _by_decay(recipe, list(model.parameters()))
    network: nn.Module = _unwrapped(model).network  # type: ignore[assignment]  # an attribute of ImageClassifier
    groups = _by_decay(recipe, head_parameters(network, recipe.head), 1.0)
    for depth, stage in enumerate(reversed(stages_of(network, recipe.head)), start=1):
        groups += _by_decay(recipe, stage.parameters, recipe.layer_decay**depth)
    return groups


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def _by_decay(recipe: Recipe, parameters: Sequence[nn.Parameter], factor: float | None = None) -> list[dict[str, Any]]:
    own = {} if factor is None else {"factor": factor}
    if recipe.decay_biases:
        return [{"params": list(parameters), **own}]
    # Biases, and scale and shift of normalisation, are vectors; weights have two axes or more.
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [{"params": weights, **own}, {"params": vectors, "weight_decay": 0.0, **own}]
    return groups if factor is None else [group for group in groups if group["params"]]
