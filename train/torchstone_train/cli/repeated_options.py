"""The options of a run that is repeated, where others are asked for beside them."""

from collections.abc import Mapping
from typing import Any, Final

from torchstone_train.cli.train_settings import Settings
from torchstone_train.data.pretrained_input import of_channels, same_share
from torchstone_train.recipes.backbone_name import architecture_of

_OF_WEIGHTS: Final = (
    *("weights", "weights_sha256", "lost_weights", "mean", "std"),
    *("image_size", "fit", "resize", "fill", "resize_filter", "antialias"),
)
"""What a backbone's weights state, and what says which ones they are."""


def repeated_options(run: Settings, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run that still mean something beside others.

    Another backbone has weights of its own, which state its input. Another size of image keeps the share that a crop
    cuts out of a picture; gray pictures have the mean of what was said by channel.

    Args:
        run: settings of the run.
        asked: values by argument of the command that replace the run's.
    """
    options = dict(run.options)
    if _is_other_backbone(run, asked.get("backbone")) and options.get("weights") != "none":
        options = {name: value for name, value in options.items() if name not in _OF_WEIGHTS}
    size, resize = asked.get("image_size"), options.get("resize")
    if size is not None and resize is not None:
        options["resize"] = same_share(resize, options["image_size"], size)
    if asked.get("color") == "L":
        options |= {name: of_channels(options[name], 1) for name in ("mean", "std") if name in options}
    return options


def _is_other_backbone(run: Settings, backbone: str | None) -> bool:
    if backbone is None or run.recipe is None or run.recipe.method == "scratch":
        return False
    named, had = architecture_of(backbone), run.recipe.architecture
    return named != had and not had.startswith(f"{named}.")  # timm's name without that of its weights
