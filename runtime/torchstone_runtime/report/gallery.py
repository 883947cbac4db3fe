"""Images of a split with what the model makes of them: framed green where right, red where wrong."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.evaluation.examples import ConfusedPair, confused_pairs, reduced
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.report.page import escape, picture
from torchstone_runtime.text import counted

_OPEN_PAIRS: Final = 6
"""Pairs of classes that are not folded up."""
_LARGEST_SIDE: Final = 160
"""Pixels to which larger pictures are reduced in a report."""


def gallery_html(seen: LabelledPredictions, indices: Iterable[int], kind: str = "") -> str:
    """Return the images at `indices` of the split with true class, predicted class and probability.

    Args:
        seen: predictions of a split.
        indices: indices of the images.
        kind: further class of the gallery; of `mistakes` a reader can pick by class and confidence.
    """
    chosen = np.array(list(indices), dtype=np.int64)
    images = seen.pictures(chosen)
    tiles = (_tile(seen, int(index), pixels) for index, pixels in zip(chosen, images, strict=True))
    return f'<div class="{f"gallery {kind}".strip()}">{"".join(tiles)}</div>'


def confused_html(seen: LabelledPredictions) -> str:
    """Return the pairs of classes that are most often confused, each with its most confident samples."""
    pairs = confused_pairs(seen)
    shown, folded = pairs[:_OPEN_PAIRS], pairs[_OPEN_PAIRS:]
    if not folded:
        return _pairs(seen, shown)
    more = f"{counted(len(folded), 'more pair')}, the most frequent first"
    return f"{_pairs(seen, shown)}<details><summary>{more}</summary>{_pairs(seen, folded)}</details>"


def pair_id(true: int, predicted: int) -> str:
    """Return the id of the pictures of a true class that were taken for another one, by the classes' indices."""
    return f"pair-{true}-{predicted}"


def _pairs(seen: LabelledPredictions, pairs: Iterable[ConfusedPair]) -> str:
    place = {name: index for index, name in enumerate(seen.class_names)}
    return "".join(
        f'<div class="pair" id="{pair_id(place[pair.true], place[pair.predicted])}">'
        f"<p><strong>{escape(pair.true)}</strong> taken for <strong>{escape(pair.predicted)}</strong>"
        f'<br><span class="soft">{pair.count:,} of {pair.support:,} ({pair.count / pair.support:.1%})</span></p>'
        f"{gallery_html(seen, pair.indices)}</div>"
        for pair in pairs
    )


def thumbnail(pixels: Uint8Array, alt: str) -> str:
    """Return a (C, H, W) image as a part of the page: a small one exact, a large one reduced, as JPEG."""
    small = reduced(pixels, _LARGEST_SIDE)
    return picture(small, alt, exact=small.shape == pixels.shape)


def _tile(seen: LabelledPredictions, index: int, pixels: Uint8Array) -> str:
    names, sample = seen.class_names, seen.ids[index]
    true, predicted = names[seen.labels[index]], seen.predicted_name(index)
    share = f"{seen.confidence[index]:.1%}"
    right = true == predicted
    picked = {"true": true, "predicted": predicted, "confidence": f"{seen.confidence[index]:.6f}"}
    data = "" if right else "".join(f' data-{key}="{escape(value)}"' for key, value in picked.items())
    alt = f"sample {sample}: {true}, predicted {predicted} ({share})"
    # Marked by a sign too: not everybody tells green from red.
    sign, truly = ("&#10003;", "") if right else ("&#10007;", f"truly <strong>{escape(true)}</strong><br>")
    return (
        f'<figure class="{"right" if right else "wrong"}"{data}>{thumbnail(pixels, alt)}'
        f"<figcaption><b>{sign} {escape(predicted)}</b><br>{truly}"
        f'<span class="soft">{share}<br>sample {escape(sample)}</span></figcaption></figure>'
    )
