"""Does the map of where a model looked show what its answer depends on? Deletion and insertion, beside RISE.

    python -m benchmarks.probes.where_it_looked --pictures 24

Both after Petsiuk, Das and Saenko, "RISE", BMVC 2018 (arXiv 1806.07421): the hottest pixels are taken away first
(deletion, to the mean level: a good map makes the probability fall early) or put into a blur first (insertion: a good
map makes it rise early). Training images of Fashion-MNIST and the built-in bundle, half of them mistakes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import numpy as np
from PIL import Image, ImageFilter

from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array, Uint8Array
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.evaluation.occlusion import Run, cover_count, explain_by_occlusion
from torchstone_runtime.inference.classifier import Classifier

Explain = Callable[[Run, Uint8Array, int], Float32Array | Float64Array]
_STEPS: Final = 32
_POOL: Final = 3000
_GRID: Final = 7


def by_occlusion(run: Run, pixels: Uint8Array, label: int) -> Float32Array:
    """The map that reports show."""
    return explain_by_occlusion(run, pixels, [label])[0].fall


def by_chance(_: Run, pixels: Uint8Array, __: int) -> Float64Array:
    """What a map without any knowledge reaches."""
    return np.random.default_rng(0).random(pixels.shape[1:])


def by_rise(run: Run, pixels: Uint8Array, label: int) -> Float64Array:
    """As many random masks as occlusion has covers: the mean of the masks, weighted by the probability they leave."""
    generator = np.random.default_rng(0)
    masks = np.stack([_mask(generator, *pixels.shape[1:]) for _ in range(cover_count(*pixels.shape[1:]))])[:, None]
    mean = _mean_level(pixels).astype(float)
    chances = _probability(run, np.rint(mean + (pixels - mean) * masks).astype(np.uint8), label)
    weighted: Float64Array = (chances[:, None, None] * masks[:, 0]).mean(axis=0)
    return weighted


def _mask(generator: np.random.Generator, height: int, width: int) -> Float64Array:
    cell = (-(-height // _GRID), -(-width // _GRID))
    coarse = (generator.random((_GRID + 1, _GRID + 1)) < 0.5).astype(np.float32)
    size = ((_GRID + 1) * cell[1], (_GRID + 1) * cell[0])
    fine = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR), dtype=float)
    top, left = generator.integers(0, cell[0]), generator.integers(0, cell[1])
    return fine[top : top + height, left : left + width]


def _mean_level(pixels: Uint8Array) -> Uint8Array:
    mean = np.rint(pixels.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
    return np.broadcast_to(mean, pixels.shape)


def _probability(run: Run, images: Uint8Array, label: int) -> Float64Array:
    logits = run(images).astype(float)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    share: Float64Array = odds[:, label] / odds.sum(axis=1)
    return share


def deletion_and_insertion(run: Run, pixels: Uint8Array, label: int, heat: Float32Array | Float64Array) -> Float64Array:
    """Areas under both curves, float64 [2]: 0 to 1."""
    rank = np.empty(heat.size, dtype=np.int64)
    rank[np.argsort(-heat.ravel(), kind="stable")] = np.arange(heat.size)
    first = [rank.reshape(heat.shape) < heat.size * step // _STEPS for step in range(_STEPS + 1)]
    radius = ImageFilter.GaussianBlur(0.1 * max(heat.shape))
    blurred = np.stack([np.asarray(Image.fromarray(plane).filter(radius)) for plane in pixels])
    deleted = np.stack([np.where(mask, _mean_level(pixels), pixels) for mask in first])
    inserted = np.stack([np.where(mask, pixels, blurred) for mask in first])
    areas = [np.trapezoid(_probability(run, images, label), dx=1 / _STEPS) for images in (deleted, inserted)]
    return np.array(areas)


def _choose(classifier: Classifier, pictures: int) -> tuple[Uint8Array, Int64Array]:
    ref = DatasetRef("fashion-mnist")
    split = Dataset.for_model(ref, default_data_dir(), classifier.input_spec, classifier.class_names).training()
    images, labels = split.store.read(np.arange(_POOL)), split.labels[:_POOL]
    answers = classifier.predict(images, unanswered="keep").indices_or_none
    halves = [np.flatnonzero((answers == labels) == right)[: pictures // 2] for right in (False, True)]
    chosen = np.concatenate(halves)
    return images[chosen], answers[chosen]


@click.command()
@click.option("--bundle", default="fashion", help="A bundle of Fashion-MNIST.")
@click.option("--pictures", default=24, show_default=True, help="Half of them mistakes.")
def main(bundle: str, pictures: int) -> None:
    """Print both areas of each way to make a map: less deletion and more insertion are better."""
    ways: dict[str, Explain] = {"chance": by_chance, "occlusion": by_occlusion, "RISE": by_rise}
    with Classifier.load(Path(bundle) if Path(bundle).exists() else bundle, variant="fp32") as classifier:

        def run(images: Uint8Array) -> Float32Array:
            return classifier.predict(np.ascontiguousarray(images), unanswered="keep").logits

        images, answers = _choose(classifier, pictures)
        for name, explain in ways.items():
            pairs = zip(images, answers.tolist(), strict=True)
            areas = [deletion_and_insertion(run, pixels, label, explain(run, pixels, label)) for pixels, label in pairs]
            deletion, insertion = np.mean(areas, axis=0)
            click.echo(f"{name:<10} deletion {deletion:.3f}  insertion {insertion:.3f}")


if __name__ == "__main__":
    main()
