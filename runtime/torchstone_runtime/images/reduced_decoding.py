"""JPEG files decoded at a half, a quarter or an eighth of their size, where a model's input is much smaller.

libjpeg then computes fewer coefficients of each block (scaled inverse DCT), which costs a fraction of the whole and is
nearly what a box filter makes of all pixels. The rest of the way is resized as ever: `InputSpec.decode` names the rule,
so that a model is trained, proven and served on the same pixels.
"""

from typing import Final

from PIL import Image

from torchstone_runtime.images.geometry import Placement, WholePicture
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.orientation import orientation_of

HEADROOM: Final = 2
"""Sides that a picture is decoded to at least, in sides that it is resized to: the filter that resizes it still smooths
over two pixels and more, and differs little from one over all of them (docs/explanation/geometry.md)."""
_JPEG: Final = ("JPEG", "MPO")
_ON_THEIR_SIDES: Final = (5, 6, 7, 8)
"""Values of the EXIF orientation (CIPA DC-008, 4.6.4) that exchange height and width."""
_BEGIN_AT_THE_RIGHT: Final = (2, 3, 6, 7)
"""Values with which the file's right or lower edge becomes the picture's left one."""
_BEGIN_BELOW: Final = (3, 4, 7, 8)
"""Values with which one of them becomes the upper one."""


def reduce_decoding(image: Image.Image, spec: InputSpec) -> WholePicture | None:
    """Have an opened picture decoded as small as its way to the model's input allows.

    That is the largest s of 8, 4 and 2 with which both of its sides are at least `HEADROOM` * s times those that it is
    resized to.

    Args:
        image: picture, not decoded yet; it is altered.
        spec: input specification of the model, whose `decode` is `reduced`.

    Returns:
        What the whole picture is; None where it is decoded whole: it is no JPEG, or not large enough.
    """
    if image.format not in _JPEG:
        return None
    orientation = orientation_of(image)
    on_its_side = orientation in _ON_THEIR_SIDES
    width, height = reversed(image.size) if on_its_side else image.size
    place = Placement.of(height, width, spec)
    needed = (HEADROOM * place.width, HEADROOM * place.height)
    drafted = image.draft(None, needed[::-1] if on_its_side else needed)  # None leaves the mode
    if drafted is None or image.size in ((width, height), (height, width)):
        return None
    # The last row and column of the decoded picture may stand for less than a whole pixel of it.
    right, below = drafted[1][2:]
    spare = image.size[0] - right, image.size[1] - below
    if on_its_side:
        right, below, spare = below, right, spare[::-1]
    left = spare[0] if orientation in _BEGIN_AT_THE_RIGHT else 0.0
    top = spare[1] if orientation in _BEGIN_BELOW else 0.0
    return WholePicture(height, width, (left, top, left + right, top + below))
