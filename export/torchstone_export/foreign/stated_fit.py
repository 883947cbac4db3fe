"""Whether it matters how pictures are fitted to a model's input, where nobody said how."""

from collections.abc import Iterable
from typing import Final

from PIL import Image

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.decode import read_picture
from torchstone_runtime.text import showable

_ORIENTATION: Final = 0x0112
_LYING: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations in which width and height change places."""
_USUAL_SHARE: Final = 0.875
"""Of the shorter side that a centre crop keeps, in most networks for ImageNet: 224 of 256."""


def require_fit(spec: ModelSpec, ref: DatasetRef, splits: Iterable[Split]) -> None:
    """Check that it is stated how pictures become the input's size, or that all of them have it.

    Args:
        spec: input of the model.
        ref: name of the data, for the message.
        splits: parts of the data; only the headers of files are read, up to the first picture of another size.

    Raises:
        UsageError: a picture has another size, and the spec says nothing of it; the message lists the usual choices.
        ImageError: a file is not an image.
    """
    if spec.fit is not None:
        return
    for split in splits:
        if isinstance(split.store, FileStore):
            for name in split.store.names:
                width, height = read_picture(split.store.root / name, lambda image, _: upright_size(image))
                if (height, width) != spec.input[1:]:
                    raise _not_stated(spec, ref, f"{name}: {width} x {height}")


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return width and height of a picture, after the rotation that its EXIF data asks for; pixels aren't read."""
    width, height = image.size
    return (height, width) if image.getexif().get(_ORIENTATION) in _LYING else (width, height)


def _not_stated(spec: ModelSpec, ref: DatasetRef, example: str) -> UsageError:
    _, height, width = spec.input
    longer = max(height, width)
    resize = int(longer / _USUAL_SHARE)
    choices = {
        "--preprocess torchvision:WEIGHTS": "as torchvision's weights say, such as ResNet50_Weights.IMAGENET1K_V2",
        "--preprocess timm:NAME": "as timm's network says, such as resnet50.a1_in1k",
        "--preprocess PATH": "as Hugging Face's preprocessor_config.json there says",
        f"--fit crop --resize {resize}": f"shorter side to {resize}, then the centre: most networks for ImageNet",
        f"--fit crop --resize {longer}": f"shorter side to {longer}, then the centre: ultralytics, CLIP",
        "--fit stretch": "width and height each on its own: ViT of Hugging Face, many scripts",
        "--fit pad --fill 0": "longer side first, the rest filled with a level",
    }
    return UsageError(
        f"The model takes {height} x {width} pixels (height x width), pictures of {ref} have other sizes "
        f"({showable(example)}), and nothing says how they become that size.",
        "Say what was done when the model was trained and tested; a wrong choice gives plausible, worse answers.",
        [f"{option:33} {meaning}" for option, meaning in choices.items()],
    )
