"""What a model of another origin answers: one row of K finite numbers per image, the same in every call and batch."""

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.two_classes import is_one_output
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.errors import DataError
from torchstone_train.recipes.own_code import class_and_message, users_line

PROBED: Final = 3
"""Images that a model is first asked for: few enough that its failures are quick, and more than one."""
BATCH_HINT: Final = "A batch axis is baked in (x.view(1, ...)), or batch norm runs in training mode."
"""What a person looks for where answers depend on the batch and nothing names the part."""
_SUM_TOLERANCE: Final = 1e-3
_BATCH_TOLERANCE: Final = 1e-3
"""Largest accepted difference of a logit between batches, as a share of the largest logit: far above rounding."""
_AGAIN_TOLERANCE: Final = 1e-5
"""The same between two calls with the same images, where not even the order of a sum changes."""


def check_answers(
    model: ExportableClassifier,
    images: Uint8Array,
    spec: ModelSpec,
    num_classes: int,
    *,
    one_output: bool = False,
    batch_hint: str = "",
) -> None:
    """Check that a model gives each image one row of K finite numbers, the same in every call and every batch.

    Args:
        model: model from raw pixels to logits and probabilities.
        images: uint8 (N, C, H, W), real pictures.
        spec: input and output of the model as they were stated.
        num_classes: number of classes, K.
        one_output: whether the logits were made of one output.
        batch_hint: sentence on the part that may look at the whole batch, where it is known; else empty.

    Raises:
        DataError: it does something else; the message says what.
    """
    probe = np.ascontiguousarray(images[:PROBED])
    first, again = _answers(model, probe), _answers(model, probe)
    if first.shape != (len(probe), num_classes):
        raise DataError(
            f"For {len(probe)} images the model gives outputs of shape {'x'.join(map(str, first.shape))}; "
            f"expected {len(probe)}x{num_classes}, as there are {num_classes} classes.",
            f"{'One output tells two classes apart. ' * is_one_output(first.shape)}Correct the classes of the spec, "
            "use data of the model's classes, or name the right output (output_name).",
        )
    if not np.isfinite(first).all():
        raise DataError("The model gives outputs that are not finite.", "Check mean, std and the weights.")
    require_repeatable(first, again)
    accepted = _BATCH_TOLERANCE * max(1.0, float(np.abs(first).max()))
    alone = np.concatenate([_answers(model, probe[index : index + 1]) for index in range(len(probe))])
    if alone.shape != first.shape or not float(np.abs(first - alone).max()) <= accepted:
        raise DataError(
            f"The model's answer for an image depends on the images that are in the same batch: "
            f"{len(probe)} images together give outputs of shape {'x'.join(map(str, first.shape))} other than one "
            f"by one.",
            batch_hint or BATCH_HINT,
        )
    if not one_output:
        _check_kind(_answers(model, images), spec)


def require_repeatable(first: npt.NDArray[np.floating[Any]], again: npt.NDArray[np.floating[Any]]) -> None:
    """Check that two calls with the same images, in the same batches, gave the same logits (N, K).

    Raises:
        DataError: they differ by more than rounding ever does.
    """
    if not float(np.abs(first - again).max()) <= _AGAIN_TOLERANCE * float(np.abs(first).max()):
        raise DataError(
            "The model gives other outputs each time it is called with the same images: dropout or another source of "
            "randomness is active.",
            "Make it deterministic in evaluation mode (F.dropout takes training=self.training).",
        )


def _check_kind(logits: Float32Array, spec: ModelSpec) -> None:
    sums = np.exp(logits.astype(np.float64)).sum(axis=1) if spec.output != "logits" else logits.sum(axis=1)
    normalised = bool((np.abs(sums - 1) <= _SUM_TOLERANCE).all())
    if spec.output == "logits" and normalised and bool((logits >= 0).all()):
        raise DataError(
            "The outputs look like probabilities: none is negative and every row sums to 1, but the spec says logits.",
            'State output = "probabilities", so that no second softmax is applied.',
        )
    if spec.output != "logits" and not normalised:
        raise DataError(
            f"The outputs are not {spec.output}: over the classes they sum to {sums.min():.4g} to {sums.max():.4g}, "
            "not to 1.",
            'State output = "logits" where no softmax is applied. '
            "Several labels per image (sigmoid) are not supported.",
        )


def _answers(model: ExportableClassifier, images: Uint8Array) -> Float32Array:
    # Not the whole model: its softmax would hide a wrong shape behind an error of its own.
    return run_owners_code(model.classifier, images)


def run_owners_code(function: Callable[[Tensor], Tensor], images: Uint8Array) -> Float32Array:
    """Return float32 outputs of a function for uint8 images (N, C, H, W).

    Raises:
        DataError: it failed; the message names its owner's line.
    """
    try:
        with torch.inference_mode():
            return cast("Float32Array", function(torch.from_numpy(images)).float().numpy())
    except DataError:
        raise
    except Exception as error:
        count = "1 image" if len(images) == 1 else f"{len(images)} images"
        raise DataError(
            f"The model fails on {count} of shape {'x'.join(map(str, images.shape[1:]))}"
            f"{users_line(error)}: {class_and_message(error)}.",
            "Check the spec's input, and that the model takes any number of images at once.",
        ) from error
