"""torchvision's classification networks: by name, with their published weights."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import torchvision
from torch import Tensor, nn
from torchvision.models.vision_transformer import interpolate_embeddings

from torchstone_runtime.errors import UsageError, first_line, suggestion
from torchstone_runtime.text import shortlist, showable
from torchstone_train.networks.backbones.stated_input import InexpressibleInputError, StatedInput, of_torchvision
from torchstone_train.networks.shape import ModelShape

_TAKES_ANOTHER_NORMALISATION: Final = ("googlenet", "inception_v3")
"""Their published weights take (x - 0.5) / 0.5, and torchvision's option `transform_input` makes it of ImageNet's."""
_OF_ANY_SIZE: Final = ("vit_", "swin_", "maxvit")
_DENSENET_NAME: Final = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
)
_AUXILIARY: Final = re.compile(r"(^|\.)(aux1|aux2|AuxLogits)\.")
_POSITIONS: Final = "encoder.pos_embedding"
_PATCHES: Final = "conv_proj.weight"
_USUAL_PATCH: Final = 16


def names() -> list[str]:
    """Return the names of the networks, sorted."""
    return list(torchvision.models.list_models(module=torchvision.models))


def require_name(name: str) -> None:
    """Refuse a name that torchvision doesn't know.

    Raises:
        UsageError: it doesn't; the message suggests the nearest.
    """
    known = names()
    if name not in known:
        near = suggestion(name, known)
        hint = near if near.startswith("Did") else "torchstone recipes --backbones lists them; timm's are timm:NAME."
        raise UsageError(f"torchvision has no classification network '{showable(name)}'.", hint)


def find_weights(name: str, tag: str) -> Any:  # noqa: ANN401 - a member of one of torchvision's enumerations
    """Return weights by their name, such as `IMAGENET1K_V2`; of `default` the best ones.

    Raises:
        UsageError: there are none of that name.
    """
    members = torchvision.models.get_model_weights(name).__members__
    tag = "DEFAULT" if tag == "default" else tag.rpartition(".")[2]
    if tag not in members:
        raise UsageError(
            f"--weights is '{showable(tag)}': no file, and no weights of {name}.",
            f"Give default, none, a file, or one of: {shortlist(list(members))}.",
        )
    return members[tag]


def weight_names(name: str) -> list[str]:
    """Return the names of a network's weights."""
    return list(torchvision.models.get_model_weights(name).__members__)


def has_weights(name: str, tag: str) -> bool:
    """Whether a text names weights of a network."""
    return name in names() and tag.rpartition(".")[2] in weight_names(name)


def stated_input(name: str, tag: str) -> StatedInput | None:
    """Return the input that weights were made for, None where no specification says it; nothing is downloaded."""
    weights = find_weights(name, tag)
    try:
        found = of_torchvision(weights.transforms(), str(weights))
    except InexpressibleInputError:
        return None
    if name in _TAKES_ANOTHER_NORMALISATION:
        return replace(found, mean=(0.5,) * 3, std=(0.5,) * 3)
    return found


def smallest_side(name: str) -> int:
    """Return the side of the smallest image that a network takes, as far as it is stated.

    Of the transformers torchvision states the size of the weights' images, and they take others.
    """
    if name.startswith(_OF_ANY_SIZE):
        return 1
    return int(max(find_weights(name, "default").meta.get("min_size", (1, 1))))


def build(name: str, shape: ModelShape) -> nn.Module:
    """Build a network with fresh weights and without auxiliary outputs.

    Raises:
        UsageError: it takes no such images.
    """
    options: dict[str, Any] = {}
    if name.startswith("vit_"):
        options = {"image_size": shape.height}
    elif name.startswith("maxvit"):
        options = {"input_size": (shape.height, shape.width)}
    elif name in _TAKES_ANOTHER_NORMALISATION:
        options = {"aux_logits": False, "transform_input": False, "init_weights": True}
    if name.startswith("vit_") and shape.height != shape.width:
        raise _other_size(name, shape, "it takes square images")
    try:
        return torchvision.models.get_model(name, weights=None, num_classes=shape.num_classes, **options)  # type: ignore[no-any-return]
    except (AssertionError, ValueError) as error:  # how a transformer refuses what its patches don't divide
        raise _other_size(name, shape, first_line(error)) from error


def _other_size(name: str, shape: ModelShape, why: str) -> UsageError:
    return UsageError(
        f"{name} does not take images of {shape.height} x {shape.width}: {why}.", "Give another --image-size: 224."
    )


def adapt_weights(name: str, tensors: Mapping[str, Tensor], shape: ModelShape) -> dict[str, Tensor]:
    """Return published weights under today's names, without auxiliary outputs, and for images of the shape.

    All names may stand behind a prefix, as in the checkpoint of a training.
    """
    found = {key: value for key, value in tensors.items() if not _AUXILIARY.search(key)}
    if name.startswith("densenet"):
        found = {_DENSENET_NAME.sub(r"\1\2", key): value for key, value in found.items()}
    for key in [key for key in found if name.startswith("vit_") and key.endswith(_POSITIONS)]:
        patches = found.get(f"{key.removesuffix(_POSITIONS)}{_PATCHES}")
        patch = _USUAL_PATCH if patches is None else patches.shape[-1]
        if found[key].ndim == 3 and found[key].shape[1] != (shape.height // patch) ** 2 + 1:  # noqa: PLR2004
            found |= {key: interpolate_embeddings(shape.height, patch, {_POSITIONS: found[key]})[_POSITIONS]}
    return found
