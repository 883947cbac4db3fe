"""What splits say of each other and of their balance without any further look at their pictures."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

import numpy as np

from torchstone_runtime.data.split import Split
from torchstone_runtime.text import shortlist

_SHOWN: Final = 3


def balance_line(split: Split) -> str:
    """Return on one line the smallest and the largest class of a split, by name."""
    counts = np.bincount(split.labels, minlength=len(split.class_names))
    present = np.flatnonzero(counts)
    least, most = present[counts[present].argmin()], present[counts[present].argmax()]
    if counts[least] == counts[most]:
        return f"{counts[least]:,} images in each class"
    return (
        f"{counts[least]:,} ({split.class_names[least]}) to {counts[most]:,} ({split.class_names[most]}) images per "
        f"class, {counts[most] / counts[least]:.1f} : 1"
    )


def overlap_lines(splits: Sequence[Split]) -> Iterator[str]:
    """Yield a line for each two splits that have images with the same pixels, and one for labels that contradict.

    The images are those that a model is given: decoded, and resized where they are files. Splits whose files were not
    read for their fingerprints are left out.
    """
    splits = [split for split in splits if split.has_image_digests]
    if not splits:
        return
    for first, second in combinations(splits, 2):
        shared = np.flatnonzero(np.isin(second.image_digests, first.image_digests))
        if len(shared):
            names = shortlist([second.ids[index] for index in shared[:_SHOWN].tolist()])
            more = " and others" if len(shared) > _SHOWN else ""
            yield (
                f"{len(shared):,} of {len(second):,} {second.name} images are in the {first.name} split too: "
                f"{names}{more}."
            )
    digests = np.concatenate([split.image_digests for split in splits])
    labels = np.concatenate([split.labels for split in splits])
    pairs = np.unique(np.stack([digests, labels.astype(np.uint64)], axis=1), axis=0)
    conflicts = len(pairs) - len(np.unique(digests))
    if conflicts:
        yield f"{conflicts:,} image{' has' if conflicts == 1 else 's have'} the same pixels as one with another label."
