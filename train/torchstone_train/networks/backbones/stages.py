"""A network cut into stages, from the images to the head: for learning rates by depth, and for freezing."""

from dataclasses import dataclass, field
from typing import Final

from torch import nn

from torchstone_train.networks.backbones.head import head_names

_MOST: Final = 0.8
_HALF: Final = 0.5
_NORMS: Final = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)  # noqa: SLF001 - their common class


@dataclass(slots=True)
class BackboneStage:
    """A stretch of a network.

    Attributes:
        names: dotted names of its modules.
        modules: the modules.
        parameters: their parameters, and those that stand free before them, such as a position embedding.
    """

    names: list[str] = field(default_factory=list)
    modules: list[nn.Module] = field(default_factory=list)
    parameters: list[nn.Parameter] = field(default_factory=list)


def stages_of(network: nn.Module, head: str) -> list[BackboneStage]:
    """Cut a network without its last layer into stages, in the order in which its modules are defined.

    A stage is a child of the network; where one child holds nearly all of it, or is the one sequence that holds half,
    that child's children stand in its place (the blocks of a transformer or of a MobileNet). Single layers beside each
    other are one stage, such as a first convolution and its norm; single layers at the end belong to the last one
    where they are norms.

    Args:
        network: network with a head.
        head: names of its last layers.
    """
    left_out = {id(part) for name in head_names(head) for part in network.get_submodule(name).modules()}
    entries = _expanded(network, "", left_out)
    stages: list[BackboneStage] = []
    before = False
    for name, module in entries:
        single = not _parts(module, left_out)
        if not stages or not single or not (before or isinstance(module, _NORMS)):
            stages.append(BackboneStage())
        stages[-1].names.append(name)
        stages[-1].modules.append(module)
        before = single
    return _with_parameters(network, stages, left_out)


def _with_parameters(network: nn.Module, stages: list[BackboneStage], left_out: set[int]) -> list[BackboneStage]:
    heads = {id(parameter) for part in network.modules() if id(part) in left_out for parameter in part.parameters()}
    taken = set(heads)
    for stage in stages:
        for module in stage.modules:
            for parameter in module.parameters():
                if id(parameter) not in taken:
                    taken.add(id(parameter))
                    stage.parameters.append(parameter)
    free = [parameter for parameter in network.parameters() if id(parameter) not in taken]
    if not stages:
        return [BackboneStage([""], [], free)] if free else []
    stages[0].parameters[:0] = free
    return [stage for stage in stages if stage.parameters]


def _expanded(module: nn.Module, prefix: str, left_out: set[int]) -> list[tuple[str, nn.Module]]:
    children = [
        (f"{prefix}{name}", child)
        for name, child in module.named_children()
        if id(child) not in left_out and _size(child, left_out)
    ]
    whole = sum(_size(child, left_out) for _, child in children)
    sequences = [
        entry
        for entry in children
        if isinstance(entry[1], nn.Sequential | nn.ModuleList) and _parts(entry[1], left_out) > 1
    ]
    chosen = next((entry for entry in children if _size(entry[1], left_out) > _MOST * whole), None)
    if chosen is None and len(sequences) == 1 and _size(sequences[0][1], left_out) > _HALF * whole:
        chosen = sequences[0]
    if chosen is None or not _parts(chosen[1], left_out):
        return children
    place = children.index(chosen)
    return [*children[:place], *_expanded(chosen[1], f"{chosen[0]}.", left_out), *children[place + 1 :]]


def _size(module: nn.Module, left_out: set[int]) -> int:
    if id(module) in left_out:
        return 0
    own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
    return own + sum(_size(child, left_out) for child in module.children())


def _parts(module: nn.Module, left_out: set[int]) -> int:
    return sum(_size(child, left_out) > 0 for child in module.children())
