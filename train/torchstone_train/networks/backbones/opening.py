"""A backbone with a head for the classes of a training: opened with weights, or built again without."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from torchstone_runtime.errors import DataError, UsageError, first_line, suggestion
from torchstone_runtime.text import showable
from torchstone_train.networks.backbones import own_networks, timm_networks, torchvision_networks
from torchstone_train.networks.backbones.download import fetch_from_hub, fetch_url
from torchstone_train.networks.backbones.fitting import lay_weights
from torchstone_train.networks.backbones.head import find_head, last_layer, replace_head
from torchstone_train.networks.backbones.stated_input import StatedInput
from torchstone_train.networks.shape import ModelShape
from torchstone_train.networks.weight_file import read_weights
from torchstone_train.recipes.backbone_name import TIMM, TORCHVISION
from torchstone_train.recipes.own_code import class_and_message

DEFAULT: Final = "default"
NONE: Final = "none"
_COLOURS: Final = 3


@dataclass(frozen=True, eq=False, slots=True)
class OpenedBackbone:
    """A backbone whose last layer is fresh, or fits.

    Attributes:
        network: normalised float images (N, 3, H, W) to logits (N, K), in training mode.
        head: dotted name of its last layer; of several, whose outputs are averaged, joined by commas.
        origin: entry of `run.json` on the weights: their `name`, and the `sha256` of their file; no paths.
        notes: sentences for a person.
    """

    network: nn.Module
    head: str
    origin: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Named:
    """An architecture `source:name`."""

    source: str
    name: str

    @classmethod
    def of(cls, architecture: str) -> "_Named":
        source, _, name = architecture.partition(":")
        return cls(source, name) if source in (TORCHVISION, TIMM) else cls("", architecture)


def resolve_architecture(architecture: str) -> str:
    """Return the full name of a backbone's architecture: timm's with the name of its weights.

    Raises:
        UsageError: there is no such network; the message suggests the nearest.
        MissingComponentError: its package is not installed.
    """
    named = _Named.of(architecture)
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
    named = _Named.of(architecture)
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
    named = _Named.of(architecture)
    tag = weights == DEFAULT or (
        named.source == TORCHVISION and weights != NONE and torchvision_networks.has_weights(named.name, weights)
    )
    if not tag and weights != NONE and not Path(weights).is_file():
        raise _no_such_weights(named, weights)
    network, head = _build(architecture, shape, head, pretrained=tag)
    if weights == NONE:
        opened = OpenedBackbone(network, head, {"name": NONE})
    elif not tag:
        opened = _from_file(named, network, head, shape, Path(weights))
    elif named.source == TORCHVISION:
        opened = _torchvision_weights(named, network, head, shape, weights)
    elif named.source == TIMM:
        opened = _timm_weights(named, head, shape)
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
    named, colours = _Named.of(architecture), _colours(shape)
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


def _torchvision_weights(named: _Named, network: nn.Module, head: str, shape: ModelShape, tag: str) -> OpenedBackbone:
    weights = torchvision_networks.find_weights(named.name, tag)
    file = read_weights(fetch_url(weights.url, str(weights)))
    tensors = torchvision_networks.adapt_weights(named.name, file.tensors, shape)
    _lay_body(network, head, tensors, str(weights), named.name)
    return OpenedBackbone(network, head, {"name": str(weights), "sha256": file.sha256})


def _timm_weights(named: _Named, head: str, shape: ModelShape) -> OpenedBackbone:
    config, full = timm_networks.pretrained_config(named.name), timm_networks.full_name(named.name)
    if config is None or not (config.hf_hub_id or config.url):
        raise UsageError(f"There are no published weights of timm:{named.name}.", "Give a file, or --weights none.")
    path = (
        fetch_from_hub(str(config.hf_hub_id), config.hf_hub_filename, f"timm:{full}")
        if config.hf_hub_id
        else fetch_url(str(config.url), f"timm:{full}")
    )
    file = read_weights(path)
    network = _by_timm(named, shape, file.tensors, shape.num_classes + 1)  # another number: its head is left out
    return OpenedBackbone(network, head, {"name": f"timm:{full}", "sha256": file.sha256})


def _by_timm(named: _Named, shape: ModelShape, tensors: Mapping[str, Tensor], outputs: int) -> nn.Module:
    overlay = {
        "state_dict": dict(tensors),
        "custom_load": False,
        "num_classes": outputs,
        "source": "",
        "label_offset": 0,
    }
    return timm_networks.build(named.name, _colours(shape), pretrained=True, pretrained_cfg_overlay=overlay)


def _from_file(named: _Named, network: nn.Module, head: str, shape: ModelShape, path: Path) -> OpenedBackbone:
    file = read_weights(path)
    tensors = file.tensors
    if named.source == TORCHVISION:
        tensors = torchvision_networks.adapt_weights(named.name, tensors, shape)
    origin = {"name": path.name, "sha256": file.sha256}
    try:
        note = lay_weights(network, head, tensors, path.name, named.name)
    except DataError as refused:
        converted = _converted_by_timm(named, head, shape, tensors)
        if converted is None:
            raise
        del refused
        return OpenedBackbone(converted, head, origin, (f"timm made the names of {showable(path.name)} its own",))
    return OpenedBackbone(network, head, origin, (note,))


def _converted_by_timm(named: _Named, head: str, shape: ModelShape, tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """Return the network with weights whose names or sizes timm knows how to make its own; None where it doesn't."""
    layer = tensors.get(f"{head.partition(',')[0]}.weight")
    if named.source != TIMM or layer is None:
        return None
    try:
        return _by_timm(named, shape, tensors, len(layer))
    except (RuntimeError, KeyError, ValueError, UsageError):  # how its loading refuses
        return None


def _lay_body(network: nn.Module, head: str, tensors: Mapping[str, Tensor], name: str, architecture: str) -> None:
    # Published weights know other classes: the head is fresh, even if it has the same size.
    body = {key: value for key, value in tensors.items() if not key.startswith(f"{head}.")}
    lay_weights(network, head, body, name, architecture)


def _checked(opened: OpenedBackbone, architecture: str, shape: ModelShape) -> OpenedBackbone:
    network = opened.network.eval()
    try:
        with torch.no_grad():
            found = network(own_networks.sample(_colours(shape)))
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


def _colours(shape: ModelShape) -> ModelShape:
    return ModelShape(_COLOURS, shape.height, shape.width, shape.num_classes)


def _same_head(given: str, own: str) -> str:
    if given not in ("", own):
        raise UsageError(f"The last layer of this backbone is '{own}', not '{showable(given)}'.", "Leave --head out.")
    return own


def _no_such_weights(named: _Named, weights: str) -> UsageError:
    words = [DEFAULT, NONE]
    if named.source == TORCHVISION:
        torchvision_networks.require_name(named.name)
        words += torchvision_networks.weight_names(named.name)
    near = suggestion(weights, words)
    return UsageError(
        f"--weights is '{showable(weights)}', which is no file.", f"{near} A file of weights is taken too."
    )


def _fingerprint(network: nn.Module, head: str) -> str:
    """Return the SHA-256 of a network's tensors but for its last layer, in the order of their names."""
    digest = hashlib.sha256()
    state: Mapping[str, Any] = network.state_dict()
    for name in sorted(state):
        if not name.startswith(f"{head}."):
            digest.update(name.encode())
            digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
