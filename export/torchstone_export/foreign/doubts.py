"""What the owner of a model of another origin should know of it: its preprocessing, and the order of its classes."""

from collections.abc import Callable

from torchstone_export.certificate.reference import Reference
from torchstone_export.foreign.class_order import doubts_about_order
from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.spec_diagnosis import find_better_spec
from torchstone_export.foreign.spec_screening import Answer


def find_doubts(
    spec: ModelSpec, reference: Reference, answer: Answer | None, tell: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Return warnings, a line each.

    Args:
        spec: input and output of the model.
        reference: what it answers.
        answer: function that answers images by another spec; None: other preprocessings are not tried.
        tell: function that is called with a sentence on what is done.
    """
    better = find_better_spec(spec, reference.splits, answer, tell) if answer is not None else None
    names = next(iter(reference.splits.values())).split.class_names
    return [
        *([better.describe()] if better is not None else []),
        *doubts_about_order(reference.splits, names, stated=spec.classes is not None),
    ]
