"""What augmentation makes of training images, as a section of a run's page."""

from collections.abc import Sequence

from torchstone_runtime.report.gallery import thumbnail
from torchstone_runtime.report.page import escape, section
from torchstone_train.data.augmented_samples import AugmentedSample


def augmentation_section(samples: Sequence[AugmentedSample], words: str) -> str:
    """Return a section with a row for each image; empty where there is none.

    Args:
        samples: images with their changes.
        words: names of the random changes.
    """
    if not samples:
        return ""
    said = f"<p>Training images as they are, and as the first epochs had them: {escape(words)}.</p>"
    return section("Augmentation", said + "".join(map(_row, samples)))


def _row(sample: AugmentedSample) -> str:
    name = escape(sample.name)
    tiles = [_tile(thumbnail(sample.original, f"{sample.name}, as it is"), f"<b>{name}</b>", escape(sample.identifier))]
    for epoch, pixels in enumerate(sample.changed, start=1):
        tiles.append(_tile(thumbnail(pixels, f"{sample.name}, in epoch {epoch}"), f"epoch {epoch}", ""))
    return f'<div class="augmented">{"".join(tiles)}</div>'


def _tile(image: str, head: str, below: str) -> str:
    more = f'<br><span class="soft">{below}</span>' if below else ""
    return f'<figure class="plain">{image}<figcaption>{head}{more}</figcaption></figure>'
