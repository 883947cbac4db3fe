"""Images as points in a plane, near each other where the network sees them alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.examples import evenly_by_class

FeaturesOf = Callable[[Split, Int64Array], Float32Array]
"""Gives the features, float32 [n, F], of the images at some indices of a split."""

MOST_VALIDATION: Final = 1000
MOST_TEST: Final = 500
"""Images that are drawn; of more, the first of each class, the second of each, and so on."""
_COMPONENTS: Final = 30
"""Principal components that t-SNE works on, as its authors do."""
_PERPLEXITY: Final = 30.0
_FEWEST: Final = 10
"""Images from which there are neighbours to speak of; the principal components themselves are drawn of fewer."""
_ITERATIONS: Final = 500
_SPREAD: Final = 1e-4
"""Standard deviation of the first coordinate at the start, as in scikit-learn."""
_SEED: Final = 0


@dataclass(frozen=True, eq=False, slots=True)
class FeatureMap:
    """Images of two splits in one plane.

    Attributes:
        validation: indices of the validation images that are drawn, int64 [n].
        places: their places, float64 [n, 2], in no unit.
        test_places: places of images of the test split, float64 [m, 2].
    """

    validation: Int64Array
    places: Float64Array
    test_places: Float64Array


def shown_on_map(labels: Int64Array) -> Int64Array:
    """Return the indices of the validation images that a map shows, by their labels; ascending."""
    return np.sort(evenly_by_class(labels, MOST_VALIDATION))


def make_feature_map(
    features_of: FeaturesOf, validation: Split, test: Split, known: Float32Array | None = None
) -> FeatureMap:
    """Lay out validation images and test images by their features; the labels have no part in it.

    Args:
        features_of: the trained network's features.
        validation: the validation split.
        test: the test split.
        known: features of the validation images that are shown, where they are known already, float32 [n, F].

    Raises:
        ImageError: a picture can no longer be read.
        ValueError: features that are not finite.
    """
    shown = shown_on_map(validation.labels)
    # Drawn evenly from the whole of it, by position: nothing is asked of the test labels.
    tested = np.unique(np.linspace(0, len(test) - 1, min(MOST_TEST, len(test))).astype(np.int64))
    own = features_of(validation, shown) if known is None else known
    features = np.concatenate([own, features_of(test, tested)])
    places = project(features)
    return FeatureMap(shown, places[: len(shown)], places[len(shown) :])


def project(features: Float32Array) -> Float64Array:
    """Return features [n, F] in the plane, float64 [n, 2]: t-SNE of their first principal components.

    Van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008. The same features give the same places:
    the start is the first two components, and sums are added on one thread.

    Raises:
        ValueError: features that are not finite.
    """
    from sklearn.decomposition import PCA  # noqa: PLC0415 - takes a second to load
    from sklearn.manifold import TSNE  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn

    if not np.isfinite(features).all():
        raise ValueError("the network's features are not finite numbers")
    plane: Float64Array = np.zeros((len(features), 2))
    if (features == features[0]).all():
        return plane
    with threadpool_limits(limits=1):
        components = min(_COMPONENTS, *features.shape)
        reduced = PCA(components, random_state=_SEED).fit_transform(features.astype(np.float64))
        plane[:, : min(2, components)] = reduced[:, :2]
        if len(features) < _FEWEST:
            return plane
        perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
        layout = TSNE(init=_start(plane), perplexity=perplexity, max_iter=_ITERATIONS, random_state=_SEED)
        found: Float64Array = layout.fit_transform(reduced).astype(np.float64)
    return found


def _start(plane: Float64Array) -> Float32Array:
    # Small, as t-SNE wants it: from far apart, points no longer find their neighbours.
    start: Float32Array = (plane / plane[:, 0].std() * _SPREAD).astype(np.float32)
    return start
