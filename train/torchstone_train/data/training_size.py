"""Smaller images for the steps of a training than for validation and inference.

A crop at random shows things larger than the whole picture does, so a network that is trained on smaller crops sees
them about as large as later on whole pictures, in a fraction of the time (H. Touvron et al., "Fixing the train-test
resolution discrepancy", arXiv 1906.06423).
"""

from dataclasses import replace

import torch
from torch import nn

from torchstone_runtime.errors import UsageError, first_line
from torchstone_runtime.images.input_spec import InputSpec


def training_spec(spec: InputSpec, train_size: int) -> InputSpec:
    """Return the specification of the images that the steps of a training see.

    Args:
        spec: input specification of the model.
        train_size: shorter side of those images in pixels; 0: that of the model's input.

    Raises:
        UsageError: they would be larger than the model's input.
    """
    shorter = min(spec.height, spec.width)
    if train_size > shorter:
        raise UsageError(
            f"train_size is {train_size}, more than the model's input of {spec.height} x {spec.width} pixels.",
            f"Give {shorter} or less, or a larger --image-size.",
        )
    if train_size in (0, shorter):
        return spec
    height, width = (round(side * train_size / shorter) for side in (spec.height, spec.width))
    return replace(spec, height=height, width=width)


def describe_training_size(spec: InputSpec, train_size: int) -> list[str]:
    """Return a line for a person where the steps of a training see smaller images than the model's input."""
    small = training_spec(spec, train_size)
    if small == spec:
        return []
    return [f"steps    on {small.height} x {small.width}; validated on {spec.height} x {spec.width}"]


def check_training_size(model: nn.Module, spec: InputSpec, small: InputSpec, *, taught: bool) -> None:
    """Check that a training can go on smaller images than the model's input.

    Args:
        model: model, which is left in the mode that it was in.
        spec: input specification of the model.
        small: specification of the images of the training, from `training_spec`.
        taught: whether a teacher answers for the same images.

    Raises:
        UsageError: the network takes images of one size only, or there is a teacher, whose input has one size.
    """
    if small == spec:
        return
    if taught:
        raise UsageError("A teacher takes images of the model's size only.", "Leave train_size out, or the teacher.")
    was_training = model.training
    model.eval()
    place = next(model.parameters()).device
    try:
        with torch.no_grad():  # what a network keeps of inference mode could not be trained with
            model(torch.zeros(1, small.channels, small.height, small.width, dtype=torch.uint8, device=place))
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise UsageError(
            f"This network takes no images of {small.height} x {small.width} pixels: {first_line(error)}",
            "Leave train_size out: not every network takes images of other sizes than its input's.",
        ) from error
    finally:
        model.train(was_training)
