"""The images of a split that a certificate was made over, where it was not made over all of them."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import BundleError

SAMPLE_SEED: Final = 0
KEY: Final = "sample"
"""Of the certificate, and of the manifest's summary of it."""


def certified_sample(split: Split, limit: int | None) -> Split:
    """Return at most `limit` images of a split, drawn at random, each as likely as any other, in the split's order.

    They are the first of `RandomState(0).permutation(N)`, whose stream NumPy has frozen (NEP 19): every machine draws
    the same ones. The draw is not stratified, so that a binomial bound on what the other images would do holds.

    Args:
        split: labelled images.
        limit: number of images, at least 1; None: all of them.
    """
    if limit is None or len(split) <= limit:
        return split
    chosen = np.sort(np.random.RandomState(SAMPLE_SEED).permutation(len(split))[:limit])
    return split.select(chosen, split.name)


def sample_json(limit: int, whole: Mapping[str, int]) -> dict[str, Any]:
    """Return what is recorded: the limit, the seed, and the number of all images of each split that was cut."""
    return {"limit": limit, "seed": SAMPLE_SEED, "of": dict(whole)}


def recorded_limit(document: Mapping[str, Any]) -> int | None:
    """Return the limit that a certificate, or the manifest's summary of it, records; None where all images were run.

    Raises:
        BundleError: it is not what an export writes.
    """
    if KEY not in document:
        return None
    try:
        recorded = document[KEY]
        limit, seed = recorded["limit"], recorded["seed"]
    except (KeyError, TypeError) as error:
        raise BundleError(f"The sample of the certificate is not valid: {error!r}.", "Export it again.") from error
    if type(limit) is not int or limit < 1 or seed != SAMPLE_SEED:
        raise BundleError(f"The sample of the certificate is not valid: {recorded!r}.", "Export it again.")
    return limit


def describe_sample(document: Mapping[str, Any], split: str, images: int) -> str:
    """Return in words how many images of a split were run: `1,000 of 10,000 images, drawn at random`."""
    whole = document.get(KEY, {}).get("of", {}).get(split)
    return f"{images:,} images" if whole is None else f"{images:,} of {whole:,} images, drawn at random"
