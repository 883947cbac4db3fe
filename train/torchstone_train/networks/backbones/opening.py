"""A backbone with a head for the classes of a training: opened with weights, or built again without."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from torchstone_runtime.errors import DataError, UsageError, first_line
from torchstone_runtime.text import showable
from torchstone_train.networks.backbones import own_networks, timm_networks, torchvision_networks
from torchstone_train.networks.backbones.head import find_head, last_layer, replace_head
from torchstone_train.networks.backbones.pretrained_weights import (
    DEFAULT,
    NONE,
    NamedBackbone,
    OpenedBackbone,
    in_colour,
    no_such_weights,
    with_file_weights,
    with_timm_weights,
    with_torchvision_weights,
)
from torchstone_train.networks.backbones.stated_input import StatedInput
from torchstone_train.networks.shape import ModelShape
from torchstone_train.recipes.backbone_name import TIMM, TORCHVISION
from torchstone_train.recipes.own_code import class_and_message


def resolve_architecture(architecture: str) -> str:
    """Return the full name of a backbone's architecture: timm's with the name of its weights.

    Raises:
        UsageError: there is no such network; the message suggests the nearest.
        MissingComponentError: its package is not installed.
    """
    named = NamedBackbone.of(architecture)
    if named.source == TORCHVISION:
        torchvision_networks.require_name(named.name)
    elif named.source == TIMM:
        timm_networks.require_name(named.name)
        return f"{TIMM}:{timm_networks.full_name(named.name)}"
    return architecture


def stated_input(architecture: str, weights: str = DEFAULT) -> StatedInput | None:
    """Return the input that a backbone's weights were made for; None where nobody states it.

    Nothing is downloaded. Of a file's weights, and of none, it is that of the published ones.
    """
    named = NamedBackbone.of(architecture)
    if named.source == TORCHVISION:
        tag = weights if torchvision_networks.has_weights(named.name, weights) else DEFAULT
        return torchvision_networks.stated_input(named.name, tag)
    return timm_networks.stated_input(named.name) if named.source == TIMM else None


def open_backbone(architecture: str, shape: ModelShape, weights: str = DEFAULT, head: str = "") -> OpenedBackbone:
    """Build a backbone with a head for the classes, and its pretrained weights.

    Args:
        architecture: `torchvision:NAME`, `timm:NAME` or `package.module:factory`.
        shape: images and number of classes. The network takes three channels, whatever the images have
            (`classifier.ImageClassifier` repeats a single one).
        weights: `default` (published ones, of which torchvision's are also taken by name; of a factory, what it
            gives), `none`, or the path of a file of tensors.
        head: dotted name of the last layer; found if empty.

    Raises:
        UsageError: no such network, weights or layer, or images that it does not take.
        DataError: the weights can't be fetched or read, or are another network's; or the owner's code failed.
    """
    named = NamedBackbone.of(architecture)
    tag = weights == DEFAULT or (
        named.source == TORCHVISION and weights != NONE and torchvision_networks.has_weights(named.name, weights)
    )
    if not tag and weights != NONE and not Path(weights).is_file():
        raise no_such_weights(named, weights)
    network, head = _build(architecture, shape, head, pretrained=tag)
    if weights == NONE:
        opened = OpenedBackbone(network, head, {"name": NONE})
    elif not tag:
        opened = with_file_weights(named, network, head, shape, Path(weights))
    elif named.source == TORCHVISION:
        opened = with_torchvision_weights(named, network, head, shape, weights)
    elif named.source == TIMM:
        opened = with_timm_weights(named, head, shape)
    else:
        origin = {"name": architecture, "sha256": _fingerprint(network, head)}
        opened = OpenedBackbone(network, head, origin)
    return _checked(opened, architecture, shape)


def rebuild_backbone(architecture: str, shape: ModelShape, head: str) -> nn.Module:
    """Build a backbone again without its pretrained weights, for a state dict of the whole network.

    Nothing is downloaded.

    Raises:
        UsageError, DataError: as for `open_backbone`.
    """
    return _build(architecture, shape, head, pretrained=False)[0]


def _build(architecture: str, shape: ModelShape, head: str, *, pretrained: bool) -> tuple[nn.Module, str]:
    named, colours = NamedBackbone.of(architecture), in_colour(shape)
    if named.source == TORCHVISION:
        torchvision_networks.require_name(named.name)
        smallest = torchvision_networks.smallest_side(named.name)
        if min(shape.height, shape.width) < smallest:
            raise UsageError(
                f"{named.name} takes images of {smallest} x {smallest} or more, not {shape.height} x {shape.width}.",
                f"Give a larger --image-size: {smallest}.",
            )
        network = torchvision_networks.build(named.name, colours)
        return network, _same_head(head, last_layer(network, colours))
    if named.source == TIMM:
        timm_networks.require_name(named.name)
        network = timm_networks.build(named.name, colours)
        return network, _same_head(head, timm_networks.head_of(network))
    network = own_networks.build(architecture, colours, pretrained=pretrained)
    if not head:
        head = _find_own_head(network, architecture, colours)
    replace_head(network, head, shape.num_classes)
    return network.train(), head


def _find_own_head(network: nn.Module, architecture: str, shape: ModelShape) -> str:
    try:
        return find_head(network.eval(), own_networks.sample(shape))
    except (UsageError, DataError):
        raise
    except Exception as error:  # the owner's code may raise anything
        raise DataError(
            f"The backbone {architecture} failed on images of {shape.height} x {shape.width}: "
            f"{class_and_message(error)}.",
            "Give the --image-size that it takes.",
        ) from error


def _checked(opened: OpenedBackbone, architecture: str, shape: ModelShape) -> OpenedBackbone:
    network = opened.network.eval()
    try:
        with torch.no_grad():
            found = network(own_networks.sample(in_colour(shape)))
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise UsageError(
            f"{architecture} does not take images of {shape.height} x {shape.width}: {first_line(error)}.",
            "Give a larger --image-size: 224.",
        ) from error
    if not isinstance(found, Tensor) or tuple(found.shape) != (2, shape.num_classes):
        raise DataError(
            f"The backbone {architecture} gives {type(found).__name__} of shape {tuple(getattr(found, 'shape', ()))} "
            f"for two images; expected logits of shape (2, {shape.num_classes}).",
            "Name its last layer: --head NAME.",
        )
    return OpenedBackbone(network.train(), opened.head, opened.origin, opened.notes)


def _same_head(given: str, own: str) -> str:
    if given not in ("", own):
        raise UsageError(f"The last layer of this backbone is '{own}', not '{showable(given)}'.", "Leave --head out.")
    return own


def _fingerprint(network: nn.Module, head: str) -> str:
    """Return the SHA-256 of a network's tensors but for its last layer, in the order of their names."""
    digest = hashlib.sha256()
    state = network.state_dict()
    for name in sorted(state):
        if not name.startswith(f"{head}."):
            digest.update(name.encode())
            digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
