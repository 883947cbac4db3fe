"""What the owner of a model of another origin should know of it: its preprocessing, and the order of its classes."""

from collections.abc import Callable

from torchstone_export.certificate.reference import Reference
from torchstone_export.foreign.class_order import doubts_about_order
from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.spec_diagnosis import BetterSpec, find_better_spec
from torchstone_export.foreign.spec_screening import Answer
from torchstone_runtime.errors import first_line


def find_doubts(
    spec: ModelSpec, reference: Reference, answer: Answer | None, tell: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Return warnings, a line each.

    Args:
        spec: input and output of the model.
        reference: answers of the model.
        answer: function that answers images by another spec; None: other preprocessings are not tried.
        tell: function that is called with a sentence on what is done.
    """
    better = None if answer is None else _better_spec(spec, reference, answer, tell)
    names = next(iter(reference.splits.values())).split.class_names
    return [
        *([better.describe()] if better is not None else []),
        *doubts_about_order(reference.splits, names, stated=spec.classes is not None),
    ]


def _better_spec(
    spec: ModelSpec, reference: Reference, answer: Answer, tell: Callable[[str], None]
) -> BetterSpec | None:
    try:
        return find_better_spec(spec, reference.splits, answer, tell)
    except Exception as error:  # noqa: BLE001 - the owner's code, on numbers that it may refuse
        tell(f"the spec was not checked, as another preprocessing fails: {first_line(error)}")
        return None
