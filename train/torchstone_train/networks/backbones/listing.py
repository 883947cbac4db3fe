"""The names of backbones, for people who choose one."""

from fnmatch import fnmatchcase
from importlib.util import find_spec

from torchstone_train.networks.backbones import timm_networks, torchvision_networks
from torchstone_train.recipes.backbone_name import TIMM


def backbone_names(pattern: str = "") -> list[str]:
    """Return what `--backbone` takes: torchvision's networks, and timm's as `timm:NAME` where it is installed.

    Args:
        pattern: part of a name, or a pattern with `*` and `?` for a whole one; all names if empty.
    """
    found = list(torchvision_networks.names())
    if find_spec(TIMM) is not None:
        found += [f"{TIMM}:{name}" for name in timm_networks.names()]
    if not any(mark in pattern for mark in "*?["):
        pattern = f"*{pattern}*"
    return [name for name in found if fnmatchcase(name, pattern)]
