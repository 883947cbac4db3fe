"""What the bundle keeps of the validation images, in one file: for sets of classes with a guarantee, and for drift."""

from collections.abc import Iterable

from torchstone_export.certificate.reference import Reference
from torchstone_export.lossy.lossy_variant import LossyVariant
from torchstone_export.run_over import LARGE_BATCH, run_over
from torchstone_runtime.drift.features import image_features
from torchstone_runtime.inference.validation_statistics import ValidationStatistics, statistics_file


def validation_statistics(reference: Reference, lossy: Iterable[LossyVariant]) -> bytes | None:
    """Return the content of `validation.npz`; None where there are no validation images.

    The variants that are certified to decide as the model does share the model's answers. A lossy one is sure of other
    things: it is calibrated by its own.

    Args:
        reference: the model's outputs, with its temperature.
        lossy: lossy variants that are shipped.
    """
    part = reference.splits["validation"]
    if len(part.split) == 0:
        return None
    features = run_over(part.split.batches(LARGE_BATCH), image_features)
    answers = {item.name: item.validation_logits for item in lossy if item.validation_logits is not None}
    labels, temperature = part.split.labels, reference.temperature
    exact = ValidationStatistics.of(features, part.logits, labels, temperature)
    own = {name: ValidationStatistics.of(features, found, labels, temperature) for name, found in answers.items()}
    return statistics_file(exact, own)
