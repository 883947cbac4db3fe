"""A backbone's network with weights in it: torchvision's, timm's, or a file's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from torch import Tensor, nn

from torchstone_runtime.errors import DataError, UsageError, suggestion
from torchstone_runtime.text import showable
from torchstone_train.networks.backbones import timm_networks, torchvision_networks
from torchstone_train.networks.backbones.download import fetch_from_hub, fetch_url
from torchstone_train.networks.backbones.weight_fitting import lay_weights
from torchstone_train.networks.shape import ModelShape
from torchstone_train.networks.weight_file import read_weights
from torchstone_train.recipes.backbone_name import TIMM, TORCHVISION

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
class NamedBackbone:
    """An architecture `source:name`.

    Attributes:
        source: package that the network comes from, `torchvision` or `timm`; empty for the owner's own.
        name: name within it, or `package.module:factory`.
    """

    source: str
    name: str

    @classmethod
    def of(cls, architecture: str) -> "NamedBackbone":
        """Read the name of an architecture."""
        source, _, name = architecture.partition(":")
        return cls(source, name) if source in (TORCHVISION, TIMM) else cls("", architecture)


def with_torchvision_weights(
    named: NamedBackbone, network: nn.Module, head: str, shape: ModelShape, tag: str
) -> OpenedBackbone:
    """Return a backbone of torchvision with published weights but for its head; `tag` is their name, or `default`."""
    weights = torchvision_networks.find_weights(named.name, tag)
    file = read_weights(fetch_url(weights.url, str(weights)))
    tensors = torchvision_networks.adapt_weights(named.name, file.tensors, shape)
    _lay_body(network, head, tensors, str(weights), named.name)
    return OpenedBackbone(network, head, {"name": str(weights), "sha256": file.sha256})


def with_timm_weights(named: NamedBackbone, head: str, shape: ModelShape) -> OpenedBackbone:
    """Return a backbone of timm with its published weights but for its head."""
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


def _by_timm(named: NamedBackbone, shape: ModelShape, tensors: Mapping[str, Tensor], outputs: int) -> nn.Module:
    overlay = {
        "state_dict": dict(tensors),
        "custom_load": False,
        "num_classes": outputs,
        "source": "",
        "label_offset": 0,
    }
    return timm_networks.build(named.name, in_colour(shape), pretrained=True, pretrained_cfg_overlay=overlay)


def with_file_weights(
    named: NamedBackbone, network: nn.Module, head: str, shape: ModelShape, path: Path
) -> OpenedBackbone:
    """Return a backbone with the weights of a file; with those of its head too, where they fit."""
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


def _converted_by_timm(
    named: NamedBackbone, head: str, shape: ModelShape, tensors: Mapping[str, Tensor]
) -> nn.Module | None:
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


def in_colour(shape: ModelShape) -> ModelShape:
    """Return the shape that a backbone is built for: with three channels, whatever the images have."""
    return ModelShape(_COLOURS, shape.height, shape.width, shape.num_classes)


def no_such_weights(named: NamedBackbone, weights: str) -> UsageError:
    """Return the error of a `--weights` that is neither a name nor a file, with the nearest name."""
    words = [DEFAULT, NONE]
    if named.source == TORCHVISION:
        torchvision_networks.require_name(named.name)
        words += torchvision_networks.weight_names(named.name)
    near = suggestion(weights, words)
    return UsageError(
        f"--weights is '{showable(weights)}', which is not a file.", f"{near} A file of weights is taken too."
    )
