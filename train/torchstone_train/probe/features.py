"""Features of a split: what the last layer of a backbone is given for each image."""

import numpy as np
import torch

from torchstone_runtime.arrays import Float32Array
from torchstone_train.data.batches import Batches
from torchstone_train.networks.backbones.head import feature_extractor
from torchstone_train.networks.classifier import ImageClassifier
from torchstone_train.probe.feature_cache import FeatureCache, digests_of
from torchstone_train.training.progress import Progress

_BATCH = 64


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
    extractor = feature_extractor(model.network, head)
    found = []
    progress.start_epoch(1, len(batches))
    for images, _ in batches.walk(torch.arange(len(batches)), _BATCH):
        digests = digests_of(images.cpu().numpy())
        places = cache.known(digests)
        missing = np.flatnonzero(places < 0)
        if len(missing):
            chosen = images[torch.from_numpy(missing).to(images.device)]
            features = extractor(model.normalised(chosen)).float().cpu().numpy()
            cache.add(digests[missing], features)
            places[missing] = np.arange(len(cache.features) - len(missing), len(cache.features))
        found.append(cache.features[places])
        progress.step(len(images), None)
    return np.concatenate(found)
