"""The preprocessing of timm's networks, from the configuration of their pretrained weights; nothing is downloaded."""

import math
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from torchstone_export.preprocessing.preprocessing import Preprocessing, nearest, of_stated
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import UsageError, suggestion
from torchstone_train.networks.backbones.stated_input import CROP_SHARE, of_timm


def from_timm(name: str) -> Preprocessing:
    """Read the preprocessing of a network of timm, such as `resnet50.a1_in1k`.

    It is what `create_transform(**resolve_data_config(...), is_training=False)` does to a Pillow picture.

    Raises:
        MissingComponentError: timm is not installed.
        UsageError: no such network, or a preprocessing that a bundle can't express.
    """
    require_component("timm", "timm")
    timm: Any = import_module("timm")  # takes seconds; an untyped package that need not be there
    if name.startswith(("hf-hub:", "hf_hub:", "local-dir:")):
        raise UsageError(
            f"timm:{name} is a place, not a network's name.",
            "Download its config.json, and give that file or its folder: --preprocess PATH",
        )
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = [*timm.list_models(), *timm.list_pretrained()]
        raise UsageError(f"timm has no network '{name}'.", nearest(name, known) or "timm.list_models() lists them.")
    try:
        stated = timm.models.get_pretrained_cfg(name)
    except RuntimeError:  # timm's own, where the name after the dot is unknown
        stated = None
    if stated is None:
        raise _unknown_tag(architecture, tag, timm.list_pretrained(f"{architecture}.*"))
    pretrained = stated.to_dict()
    return from_timm_config(timm.data.resolve_data_config(pretrained_cfg=pretrained), f"timm:{name}", pretrained)


def from_timm_config(config: Mapping[str, Any], source: str, pretrained: Mapping[str, Any]) -> Preprocessing:
    """Express a configuration of timm.

    Args:
        config: values as timm's `resolve_data_config` gives them; what is missing is timm's default.
        source: name of the source, for messages.
        pretrained: whole configuration of the weights, where a larger input for testing may stand.

    Raises:
        UsageError: it can't be expressed.
    """
    found = of_stated(lambda: of_timm(config, source), source)
    _, height, width = found.fields["input"]
    return replace(found, notes=_notes(pretrained, (height, width), float(config.get("crop_pct") or CROP_SHARE)))


def _notes(pretrained: Mapping[str, Any], size: tuple[int, int], share: float) -> tuple[str, ...]:
    larger = pretrained.get("test_input_size")
    if not larger or tuple(larger[1:]) == size:
        return ()
    resize = math.floor(larger[1] / float(pretrained.get("test_crop_pct") or share))
    shape = "x".join(map(str, larger))
    line = (
        f"timm states {size[0]} x {size[1]} pixels, and {larger[1]} x {larger[2]} for testing; for these add --input "
        f"{shape} --resize {resize}"
    )
    return (line,)


def _unknown_tag(architecture: str, tag: str, pretrained: list[str]) -> UsageError:
    if not pretrained:
        return UsageError(
            f"timm states no preprocessing of '{architecture}': there are no pretrained weights of it.",
            "State it by options: --input, --fit, --resize, --resize-filter, --mean and --std.",
        )
    return UsageError(
        f"timm has no weights '{tag}' of '{architecture}'.", suggestion(f"{architecture}.{tag}", pretrained)
    )
