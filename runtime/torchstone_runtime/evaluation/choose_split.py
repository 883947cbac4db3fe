"""Which part of a dataset a model is measured on, and whether it is the one that it was certified on."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from torchstone_runtime.data.catalog import Dataset
from torchstone_runtime.data.known_fingerprints import known_fingerprint
from torchstone_runtime.data.split import Split
from torchstone_runtime.data.split_choice import SplitChoice
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.text import shortlist


def choose_split(dataset: Dataset, wanted: SplitChoice, provenance: Mapping[str, Any]) -> tuple[Split, str]:
    """Return the split to evaluate, and why it was chosen.

    Args:
        dataset: the labelled source.
        wanted: `auto`, `test`, `train` (all that is not test) or `all`.
        provenance: provenance of the bundle, whose dataset fingerprints tell whether the model was trained on this
            source.

    With `auto` a source's own test part is taken. A source without one is taken whole, unless the fifth of it that
    training would hold out is the very test split of the bundle: then it is the model's own data, and only the
    held-out part is fair. So it is where a fold of a cross-validation took as many images as the rest of the source
    has: a bundle does not say which ones.
    """
    if wanted == "train":
        return dataset.training(), "all that is not held out for the test"
    if wanted == "test" or dataset.has_test_part:
        if wanted == "all":
            raise UsageError(f"{dataset.ref} has separate train and test parts.", "Use --split train or test.")
        reason = "its own test part" if dataset.has_test_part else "the fifth that training holds out"
        return dataset.test(), reason
    whole = dataset.whole()
    if wanted == "all":
        return whole, "every image, as asked for"
    try:
        held_out = dataset.test()
    except DataError:
        return whole, "every image: too few to have been split"
    if (why := _why_held_out(dataset, held_out, provenance)) is not None:
        return held_out, why
    return whole, "every image: the model was not trained on this data as it is now"


def _why_held_out(dataset: Dataset, held_out: Split, provenance: Mapping[str, Any]) -> str | None:
    """Return why the held-out fifth alone is fair; None where the model was trained on other data."""
    if known_fingerprint(held_out) == certified_fingerprint(provenance):
        done = "certified" if "origin" in provenance else "trained"
        return f"the fifth that was held out when the model was {done} on this data"
    if is_of_a_fold(provenance) and sum(recorded_samples(provenance).values()) == len(dataset.training()):
        return "the fifth that training holds out: no fold of a cross-validation on this data was given it"
    return None


def certified_fingerprint(provenance: Mapping[str, Any]) -> str | None:
    """Return the fingerprint of the test split that a bundle was certified on."""
    try:
        return str(provenance["dataset"]["test"]["fingerprint"])
    except (KeyError, TypeError):
        return None


def is_of_a_fold(provenance: Mapping[str, Any]) -> bool:
    """Return whether a bundle's model was trained on a fold of a cross-validation."""
    dataset = provenance.get("dataset")
    return isinstance(dataset, Mapping) and "fold" in dataset


def recorded_samples(provenance: Mapping[str, Any]) -> Mapping[str, int]:
    """Return the numbers of images in a training's `train`, `validation` and `test`; none where one is not recorded."""
    try:
        return {part: int(provenance["dataset"][part]["samples"]) for part in ("train", "validation", "test")}
    except (KeyError, TypeError, ValueError):
        return {}


def certified_test_split(dataset: Dataset, provenance: Mapping[str, Any]) -> Split:
    """Return the test split that a bundle was certified on.

    Raises:
        DataError: the dataset holds another one.
    """
    split = dataset.test()
    if split.fingerprint != certified_fingerprint(provenance) and is_of_a_fold(provenance):
        raise DataError(
            "The bundle was certified on a fold of a cross-validation, which no dataset has as its test split.",
            "Check it with 'torchstone verify --run' and the run's folder.",
        )
    if split.fingerprint != certified_fingerprint(provenance):
        raise DataError(
            f"{dataset.ref} is not the data that the bundle was certified on: its test split has the fingerprint "
            f"{split.fingerprint[:16]}…, the certificate states {str(certified_fingerprint(provenance))[:16]}….",
            "Give the dataset of the training, or measure on this one with 'torchstone evaluate'.",
        )
    return split


def align_classes(split: Split, class_names: tuple[str, ...]) -> Split:
    """Return the split with the model's class names where it names none itself.

    Raises:
        DataError: its classes, by name and order, are not the model's.
    """
    if split.class_names == class_names:
        return split
    same = tuple(map(_normal, split.class_names)) == tuple(map(_normal, class_names))
    if same or (not split.names_given and len(split.class_names) <= len(class_names)):
        return split.with_class_names(class_names)
    raise DataError(
        "The classes of the data are not those of the model.",
        f"The data's:  {shortlist(split.class_names)}.\nThe model's: {shortlist(class_names)}.",
    )


def _normal(name: str) -> str:
    # The same letters may be written in two ways: é as one character, or as e and an accent.
    return unicodedata.normalize("NFC", name)
