"""Mistakes with the places that the model looked at, as part of a page."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Float32Array, Float64Array, Uint8Array
from torchstone_runtime.evaluation.evaluate import Evaluation
from torchstone_runtime.evaluation.examples import reduced
from torchstone_runtime.evaluation.explanations import ExplainedMistake
from torchstone_runtime.evaluation.occlusion import Evidence
from torchstone_runtime.report.gallery import thumbnail
from torchstone_runtime.report.page import Markup, picture, tag

_SIDE: Final = 200
"""Pixels of the longer side of an overlay."""
_HEAT: Final = np.array([[44, 10, 88], [140, 30, 110], [222, 80, 55], [250, 165, 40], [252, 246, 160]], dtype=float)
"""Colours from no heat to all of it, of rising lightness: they stay in order in gray and for any colour vision."""
_BOLDEST: Final = 0.85
"""Opacity of the hottest place."""
_WHITE: Final = 255
_LUMA: Final = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the brightness that is seen (ITU-R BT.601)."""
_NOTE: Final = (
    "The most confident mistakes. A place is hot where the model's belief in the class falls when a blur "
    "hides the place: there it looked. Each picture has its own scale, from the place that matters most to nothing; "
    "the lines say how far the probability falls with the hottest place hidden. A uniform picture means that no single "
    "place decides."
)


def explanations_html(evaluation: Evaluation, explanations: Sequence[ExplainedMistake]) -> str:
    """Return each mistake with its picture and an overlay for the class answered and for the right one."""
    shown = "".join(_one(evaluation, item) for item in explanations)
    return tag("p", _NOTE, class_="soft") + f'<div class="looked">{shown}</div>'


def _one(evaluation: Evaluation, item: ExplainedMistake) -> str:
    sample, names = evaluation.ids[item.index], evaluation.class_names
    answered, right = names[item.answered.label], names[item.right.label]
    tiles = (
        _tile(thumbnail(item.pixels, f"sample {sample}"), f"sample {sample}", ""),
        _tile(_overlay(item, item.answered, answered), f"for {answered}, its answer", _fall(item.answered)),
        _tile(_overlay(item, item.right, right), f"for {right}, the right class", _fall(item.right)),
    )
    title = Markup(f"{tag('strong', answered)} should be {tag('strong', right)}")
    return f'<div class="look">{tag("p", title)}<div class="three">{"".join(tiles)}</div></div>'


def _tile(image: str, title: str, note: str) -> str:
    said = tag("b", title) + (Markup("<br>") + tag("span", note, class_="soft") if note else "")
    return f'<figure class="plain">{image}{tag("figcaption", Markup(said))}</figure>'


def _fall(evidence: Evidence) -> str:
    if evidence.fall.max() <= 0:
        return f"{evidence.probability:.1%}; no place speaks for it"
    return f"{evidence.probability:.1%}, with its hottest place hidden {evidence.lowest:.1%}"


def _overlay(item: ExplainedMistake, evidence: Evidence, name: str) -> str:
    return picture(overlay(item.pixels, evidence.fall), f"Where the model looks for {name}", exact=False)


def overlay(pixels: Uint8Array, fall: Float32Array) -> Uint8Array:
    """Return a picture in gray with the places of the largest falls in hot colours.

    Args:
        pixels: picture, uint8 [C, H, W].
        fall: fall of the belief by pixel, float32 [H, W]; what is not above 0 stays gray.

    Returns:
        uint8 [3, h, w], the longer side some 200 pixels.
    """
    gray = _gray(reduced(pixels, _SIDE))
    height, width = gray.shape
    scale = max(1, _SIDE // max(height, width))
    size = (width * scale, height * scale)
    # Edges between the pixels of a small picture stay sharp; the heat has none.
    base = np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.NEAREST), dtype=float)
    heat = np.asarray(Image.fromarray(_share(fall)).resize(size, Image.Resampling.BILINEAR), dtype=float).clip(0, 1)
    opacity = _BOLDEST * np.sqrt(heat)
    mixed = base * (1 - opacity) + np.moveaxis(_color(heat), -1, 0) * opacity
    shown: Uint8Array = np.rint(mixed).clip(0, _WHITE).astype(np.uint8)
    return shown


def _gray(pixels: Uint8Array) -> Uint8Array:
    weights = _LUMA if len(pixels) == len(_LUMA) else np.ones(1)
    gray: Uint8Array = np.rint(np.tensordot(weights, pixels, axes=1)).astype(np.uint8)
    return gray


def _share(fall: Float32Array) -> Float32Array:
    positive: Float32Array = np.maximum(fall, np.float32(0))
    return positive / (positive.max() or np.float32(1))


def _color(heat: Float64Array) -> Float64Array:
    """Return colours [h, w, 3] for heat (0 to 1) [h, w]."""
    stops = np.linspace(0, 1, len(_HEAT))
    return np.stack([np.interp(heat, stops, channel) for channel in _HEAT.T], axis=-1)
