"""timm's networks (the extra `timm`): by name, with their published weights."""

from typing import Any

from torch import nn

from torchstone_runtime.components import require_component
from torchstone_runtime.errors import UsageError, first_line, suggestion
from torchstone_runtime.text import showable
from torchstone_train.networks.backbones.stated_input import InexpressibleInputError, StatedInput, of_timm
from torchstone_train.networks.shape import ModelShape


def names() -> list[str]:
    """Return the names of the networks, each with the names of its weights: `resnet18.a1_in1k`; sorted.

    Raises:
        MissingComponentError: timm is not installed.
    """
    timm = _timm()
    pretrained = timm.list_pretrained()
    bare = set(timm.list_models()) - {name.partition(".")[0] for name in pretrained}
    return sorted([*pretrained, *bare])


def require_name(name: str) -> None:
    """Refuse a name that timm doesn't know.

    Raises:
        MissingComponentError: timm is not installed.
        UsageError: it doesn't; the message suggests the nearest.
    """
    timm = _timm()
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        near = suggestion(name, [*timm.list_models(), *timm.list_pretrained()])
        hint = near if near.startswith("Did") else "torchstone recipes --backbones 'timm:*' lists them."
        raise UsageError(f"timm has no network '{showable(name)}'.", hint)
    known = timm.list_pretrained(f"{base}.*")
    if tag and name not in known:
        raise UsageError(f"timm has no weights '{showable(tag)}' of {base}.", suggestion(name, known))


def full_name(name: str) -> str:
    """Return a name with that of its weights; as it is where there are none."""
    config = pretrained_config(name)
    full = name if config is None or not config.tag else f"{name}.{config.tag}"
    # A network that nobody published weights of has a tag all the same: "untrained".
    return full if "." not in name and full in _timm().list_pretrained(f"{name}.*") else name


def pretrained_config(name: str) -> Any:  # noqa: ANN401 - timm's PretrainedCfg
    """Return what timm states of a network's weights; None where there are none."""
    timm = _timm()
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError:  # how timm says that there are none of that name
        return None


def stated_input(name: str) -> StatedInput | None:
    """Return the input that weights were made for, None where no specification says it; nothing is downloaded."""
    from timm.data import resolve_data_config  # noqa: PLC0415 - takes seconds, and only this source needs it

    config = pretrained_config(name)
    if config is None:
        return None
    try:
        return of_timm(resolve_data_config(pretrained_cfg=config.to_dict()), f"timm:{full_name(name)}")
    except InexpressibleInputError:
        return None


def build(name: str, shape: ModelShape, **options: Any) -> nn.Module:  # noqa: ANN401 - timm's own
    """Build a network, with fresh weights unless the options say otherwise.

    Raises:
        UsageError: it takes no such images.
    """
    timm, config = _timm(), pretrained_config(name)
    if config is not None and config.fixed_input_size and tuple(config.input_size[1:]) != (shape.height, shape.width):
        options["img_size"] = (shape.height, shape.width)
    try:
        return timm.create_model(name, num_classes=shape.num_classes, **options)  # type: ignore[no-any-return]
    except (TypeError, AssertionError) as error:
        if "img_size" not in options:
            raise
        side = " x ".join(map(str, config.input_size[1:]))
        raise UsageError(
            f"{name} takes images of {side} only, not {shape.height} x {shape.width}: {first_line(error)}.",
            f"Leave --image-size out, or give {config.input_size[1]}.",
        ) from error


def head_of(network: nn.Module) -> str:
    """Return the dotted name of the last layer; of several, which are averaged, joined by commas.

    Raises:
        UsageError: it has none, and gives features alone.
    """
    config: Any = network.pretrained_cfg
    stated = config.get("classifier")
    if not stated:
        raise UsageError(
            f"timm's {config.get('architecture')} has no last layer with outputs for classes: it is an encoder.",
            "Take another --backbone, or wrap it: --backbone package.module:factory.",
        )
    return stated if isinstance(stated, str) else ",".join(stated)


def _timm() -> Any:  # noqa: ANN401 - a module without types
    require_component("timm", "timm")
    import timm  # noqa: PLC0415 - takes seconds, and only this source needs it

    return timm
