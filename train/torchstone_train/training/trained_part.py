"""Which part of a network is trained in an epoch, and which norms keep their statistics."""

from typing import Final

from torch import nn

from torchstone_runtime.errors import UsageError
from torchstone_train.networks.backbones.head import head_names
from torchstone_train.networks.backbones.stages import BackboneStage, stages_of
from torchstone_train.recipes.recipe import Recipe

SMALLEST_FOR_STATISTICS: Final = 16
"""Images per step of one process from which batch norm's statistics of a batch are trusted (Y. Wu and K. He, arXiv
1803.08494, figure 1: the error of batch norm grows below 16)."""
_BATCH_NORM: Final = nn.modules.batchnorm._BatchNorm  # noqa: SLF001 - the common class of its forms


class TrainedPart:
    """The part of a network that learns: all of it, or the head, or all but the lowest stages.

    Args:
        recipe: `head_epochs`, `freeze` and `freeze_norm` say which.
        network: network whose parameters and mode are set.
        batch: images per step of one process.
        pretrained: whether the network begins with pretrained weights.

    Raises:
        UsageError: `freeze` is more than there are stages; the message says how many there are.
    """

    def __init__(self, recipe: Recipe, network: nn.Module, batch: int, *, pretrained: bool) -> None:
        self._network = network
        # What its owner keeps from being trained stays so.
        self._trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._head_epochs = recipe.head_epochs
        small = pretrained and batch < SMALLEST_FOR_STATISTICS
        self._freezes_norms = recipe.freeze_norm == "on" or (recipe.freeze_norm == "auto" and small)
        self._frozen = _lowest(network, recipe) if recipe.freeze else []
        self._head = [network.get_submodule(name) for name in head_names(recipe.head)] if recipe.head else []

    def begin_epoch(self, epoch: int) -> bool:
        """Set what is trained in an epoch, from 1, and the mode of each module.

        Returns:
            Whether other parameters are trained than before.
        """
        alone = epoch <= self._head_epochs
        parts = self._head if alone else self._frozen
        named = {id(parameter) for part in parts for parameter in _parameters(part)}
        changed = False
        for parameter in self._trainable:
            learns = (id(parameter) in named) == alone
            changed = changed or learns != parameter.requires_grad
            parameter.requires_grad_(learns)
        self._set_mode(self._network, alone=alone)
        return changed

    def set_mode(self, network: nn.Module) -> None:
        """Put a network of the same structure into the mode of the epochs after the head's."""
        self._set_mode(network, alone=False)

    def _set_mode(self, network: nn.Module, *, alone: bool) -> None:
        network.train(not alone)
        names = dict(zip(self._network.modules(), network.modules(), strict=True))
        for part in self._head if alone else ():
            names[part].train()
        for stage in () if alone else self._frozen:
            for module in stage.modules:
                names[module].eval()
        for module in network.modules() if self._freezes_norms else ():
            if isinstance(module, _BATCH_NORM):
                module.eval()


def _parameters(part: nn.Module | BackboneStage) -> list[nn.Parameter]:
    return part.parameters if isinstance(part, BackboneStage) else list(part.parameters())


def _lowest(network: nn.Module, recipe: Recipe) -> list[BackboneStage]:
    stages = stages_of(network, recipe.head)
    if recipe.freeze > len(stages):
        raise UsageError(
            f"--freeze is {recipe.freeze}, but this backbone has {len(stages)} stages below its head.",
            f"Give 0 to {len(stages)}; with all of them frozen the head alone is trained.",
        )
    return stages[: recipe.freeze]
