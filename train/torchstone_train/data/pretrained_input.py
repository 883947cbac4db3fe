"""The input of a training whose network was pretrained: as its weights have it, but for what is said otherwise."""

from collections.abc import Sequence
from dataclasses import replace

from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import ColorMode, InputSpec


def like_template(
    template: InputSpec, image_size: tuple[int, int] | None = None, color: ColorMode | None = None
) -> InputSpec:
    """Return the input of a folder's pictures.

    Another size keeps the share that a centre crop cuts out of a picture.

    Args:
        template: input of the weights.
        image_size: height and width; the template's if None.
        color: `L` or `RGB`; the template's if None.
    """
    height, width = image_size or (template.height, template.width)
    resize = template.resize
    if resize is not None and image_size is not None:
        resize = same_share(resize, (template.height, template.width), (height, width))
    spec = replace(template, height=height, width=width, resize=resize)
    return spec if color in (None, template.color) else _in_gray(spec)


def same_share(resize: int, before: tuple[int, int], after: tuple[int, int]) -> int:
    """Return the pixels of the shorter side with which a centre crop of another size cuts out the same share.

    Args:
        resize: pixels of the shorter side before the centre is cut out.
        before: height and width that are cut out of it.
        after: height and width of the other crop.
    """
    return max(round(resize / min(before) * min(after)), *after)


def of_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """Return values for a number of channels: their mean for one channel of gray."""
    return (sum(values) / len(values),) if channels == 1 else tuple(values)


def normalised(spec: InputSpec, mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> InputSpec:
    """Return an input with other mean and std, each one value for all channels or one each, or None for its own.

    Raises:
        UsageError: there are more or fewer values than channels, or a std that is not greater than 0.
    """
    found = {"mean": spec.mean, "std": spec.std}
    for name, values in (("mean", mean), ("std", std)):
        if values is None:
            continue
        if len(values) not in (1, spec.channels):
            raise UsageError(
                f"--{name} has {len(values)} values, but images have {spec.channels} channels.",
                "Give one value for all channels, or one each, separated by commas.",
            )
        found[name] = tuple(values) * (spec.channels if len(values) == 1 else 1)
    try:
        return replace(spec, mean=found["mean"], std=found["std"])
    except ValueError as error:
        raise UsageError(f"--mean and --std can't be so: {error}.", "Such as --mean 0.5 --std 0.5.") from error


def _in_gray(spec: InputSpec) -> InputSpec:
    return replace(spec, color="L", mean=of_channels(spec.mean, 1), std=of_channels(spec.std, 1))
