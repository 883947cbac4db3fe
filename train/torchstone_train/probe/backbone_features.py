"""Features of a split: what the last layer of a backbone is given for each image."""

import numpy as np
import torch
from torch import Tensor

from torchstone_runtime.arrays import Float32Array, Int64Array
from torchstone_train.compute.inference_batch import inference_batches
from torchstone_train.data.batches import Batches
from torchstone_train.networks.backbones.head import FeatureExtractor, feature_extractor
from torchstone_train.networks.image_classifier import ImageClassifier
from torchstone_train.probe.feature_cache import Digests, FeatureCache, digests_of
from torchstone_train.training.progress import Progress

_BATCH = 64
_CHECKED = 8
"""Images whose kept features are computed again, to see whether they are still the backbone's."""
_ALIKE = 1e-3
"""Difference that other threads and batches make at most, in shares of the largest feature."""


@torch.inference_mode()
def features_of(
    batches: Batches, model: ImageClassifier, head: str, cache: FeatureCache, progress: Progress
) -> Float32Array:
    """Return the features of all images, float32 (n, F); those that the cache lacks are computed and kept in it.

    Args:
        batches: images, on the device of the model.
        model: backbone behind its normalisation, in evaluation mode.
        head: dotted name of its last layer.
        cache: features that are known.
        progress: shows how far it is.

    Raises:
        UsageError, DataError: the backbone has no features that one layer makes its answer of.
    """
    extractor, places = feature_extractor(model.network, head), cache.places()
    found: list[Float32Array] = []
    unchecked = True
    new: list[tuple[Digests, Float32Array]] = []
    progress.start_epoch(1, len(batches))
    try:
        for images, _ in batches.walk(torch.arange(len(batches)), _BATCH):
            digests = digests_of(images.cpu().numpy())
            known = np.array([places.get(digest, -1) for digest in digests.tolist()])
            if unchecked and (known >= 0).any():
                unchecked = False
                if not _still_hold(images, known, cache.features, model, extractor):
                    cache.forget()
                    places, known = {}, np.full_like(known, -1)
            missing = np.flatnonzero(known < 0)
            computed = _computed(images, missing, model, extractor) if len(missing) else cache.features[:0]
            if len(missing):
                new.append((digests[missing], computed))
            found.append(_together(known, computed, cache.features))
            progress.step(len(images), None)
    finally:  # also of those that were done when someone stopped it
        if new:
            cache.add(*(np.concatenate(column) for column in zip(*new, strict=True)))
            cache.write(progress.say)
    return np.concatenate(found)


def _still_hold(
    images: Tensor, known: Int64Array, kept: Float32Array, model: ImageClassifier, extractor: FeatureExtractor
) -> bool:
    # The key holds weights and names. The owner's code, or another version of a package, may compute something else.
    chosen = np.flatnonzero(known >= 0)[:_CHECKED]
    now, before = _computed(images, chosen, model, extractor), kept[known[chosen]]
    return now.shape == before.shape and bool(np.abs(now - before).max() <= _ALIKE * max(1e-6, np.abs(now).max()))


def _computed(images: Tensor, chosen: Int64Array, model: ImageClassifier, extractor: FeatureExtractor) -> Float32Array:
    pixels = images[torch.from_numpy(chosen).to(images.device)]
    parts = [extractor(model.normalised(part)).float().cpu() for part in inference_batches(pixels)]
    found: Float32Array = torch.cat(parts).numpy()
    return found


def _together(known: Int64Array, computed: Float32Array, kept: Float32Array) -> Float32Array:
    """Return the rows of a batch: those that are kept by their place, the others (-1) as they were computed."""
    rows = np.empty((len(known), computed.shape[1]), dtype=np.float32)
    rows[known < 0] = computed
    if (known >= 0).any():
        rows[known >= 0] = kept[known[known >= 0]]
    return rows
