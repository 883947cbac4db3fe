"""Likely label errors of the measured images, as a section of an evaluation's page."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.audit.label_errors import LabelError
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.report.gallery import thumbnail
from torchstone_runtime.report.page import escape
from torchstone_runtime.text import counted

_PICTURES: Final = 28
_METHOD: Final = (
    "Found by confident learning (Northcutt, Jiang and Chuang 2021, arXiv 1911.00068): the model gives another class "
    "at least the mean probability that it gives to images labelled so. Only a person can tell whether the "
    "label is wrong; and of images that it was trained on, a model has learnt the wrong labels too."
)


def label_errors_html(seen: LabelledPredictions, errors: Sequence[LabelError]) -> str:
    """Return the images whose labels are likely wrong, most confident first, with both classes' probabilities.

    Raises:
        ImageError: a picture that is shown can no longer be read.
    """
    if not errors:
        return f'<p>None was found.</p><p class="soft">{_METHOD}</p>'
    shown = errors[:_PICTURES]
    pictures = seen.pictures(np.array([error.index for error in shown], dtype=np.int64))
    tiles = "".join(_tile(seen, error, pixels) for error, pixels in zip(shown, pictures, strict=True))
    count = f"{len(errors):,} of {counted(len(seen), 'image')}"
    first = f"; the first {len(shown)} are shown, most confident first" if len(errors) > len(shown) else ""
    return f'<p>{count}{first}.</p><p class="soft">{_METHOD}</p><div class="gallery">{tiles}</div>'


def _tile(seen: LabelledPredictions, error: LabelError, pixels: Uint8Array) -> str:
    label, likely, sample = seen.class_names[error.label], seen.class_names[error.likely], seen.ids[error.index]
    alt = f"sample {sample}: labelled {label}, likely {likely}"
    return (
        f'<figure class="plain">{thumbnail(pixels, alt)}<figcaption>'
        f'labelled <b>{escape(label)}</b> <span class="soft">{error.probability:.1%}</span><br>'
        f'likely <b>{escape(likely)}</b> <span class="soft">{error.likely_probability:.1%}</span><br>'
        f'<span class="soft">sample {escape(sample)}</span></figcaption></figure>'
    )
