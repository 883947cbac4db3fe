"""Draw every corruption at every severity on one Fashion-MNIST test picture: docs/images/corruptions.png.

    python -m benchmarks.probes.corruption_picture [INDEX]

Needs the data where TORCHSTONE_DATA says.
"""

import sys
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.places import DOCS
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.corruption import CORRUPTIONS, SEVERITIES, corrupt
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.location import default_data_dir

PICTURE: Final = DOCS / "images" / "corruptions.png"
INDEX: Final = 4
"""A shirt: folds, bright and dark areas, and sleeves that reach the border."""
ZOOM: Final = 3
GAP: Final = 6
LABEL: Final = 120
HEADER: Final = 22


def main(index: int) -> None:
    split = Dataset(DatasetRef.parse("fashion-mnist"), default_data_dir()).test()
    image = split.store.read(np.array([index]))
    cell = image.shape[-1] * ZOOM + GAP
    sheet = Image.new("L", (LABEL + cell * (len(SEVERITIES) + 1), HEADER + cell * len(CORRUPTIONS)), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, title in enumerate(["clean", *map(str, SEVERITIES)]):
        draw.text((LABEL + column * cell, 3), title, fill=0, font=font)
    for row, name in enumerate(CORRUPTIONS):
        top = HEADER + row * cell
        draw.text((4, top + cell // 2 - 10), name, fill=0, font=font)
        shown = [image, *(corrupt(image, name, severity, first=index) for severity in SEVERITIES)]
        for column, pixels in enumerate(shown):
            sheet.paste(_enlarged(pixels), (LABEL + column * cell, top))
    PICTURE.parent.mkdir(exist_ok=True)
    sheet.save(PICTURE, optimize=True)
    print(f"wrote {PICTURE}: image {index}, {split.class_names[int(split.labels[index])]}")


def _enlarged(pixels: Uint8Array) -> Image.Image:
    side = pixels.shape[-1] * ZOOM
    return Image.fromarray(pixels[0, 0]).resize((side, side), Image.Resampling.NEAREST)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else INDEX)
