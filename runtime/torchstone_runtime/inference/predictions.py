"""What a classifier answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float32Array, Int64Array
from torchstone_runtime.errors import NoAnswerError, UsageError, suggestion
from torchstone_runtime.frames import make_frame
from torchstone_runtime.metrics.answered import NO_ANSWER, NO_ANSWER_TEXT, all_answered, answered, decide

if TYPE_CHECKING:
    from torchstone_runtime.inference.statistics_source import StatisticsSource
    from torchstone_runtime.metrics.classification import Metrics
    from torchstone_runtime.metrics.conformal import Members

_ROWS_SHOWN: Final = 20
_LABELS_SHOWN: Final = 5


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """What the model says of one image.

    Attributes:
        class_names: the K classes in the order of the numbers below.
        logits: float32 [K].
        probabilities: float32 [K].
        answered: whether the outputs are an answer; see `Predictions`.
        path: path of the picture as it was given or found; None where the image came as an array or as bytes.
    """

    class_names: tuple[str, ...]
    logits: Float32Array
    probabilities: Float32Array
    answered: bool = True
    path: str | None = None

    @property
    def label(self) -> str | None:
        """Most probable class by name; None where there is no answer."""
        return self.class_names[int(np.argmax(self.logits))] if self.answered else None

    @property
    def probability(self) -> float:
        """Probability of the most probable class, 0 to 1; NaN where there is no answer."""
        return float(self.probabilities.max()) if self.answered else float("nan")

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return the `count` most probable classes with their probabilities, best first; none without an answer."""
        if not self.answered:
            return []
        # By the logits, as `label` is: several probabilities may round to the same number.
        order = np.argsort(-self.logits, kind="stable")[:count].tolist()
        return [(self.class_names[index], float(self.probabilities[index])) for index in order]

    def to_dict(self, count: int = 5) -> dict[str, Any]:
        """Return path, label, probability and the `count` most probable classes as JSON data."""
        best = [{"class": name, "probability": value} for name, value in self.top(count)]
        probability = self.probability if self.answered else None
        return {"path": self.path, "label": self.label, "probability": probability, "top": best}

    def __repr__(self) -> str:
        where = f"{self.path!r}, " if self.path is not None else ""
        said = f"{self.label!r}, {self.probability:.4f}" if self.answered else "no answer"
        return f"Prediction({where}{said})"


@dataclass(frozen=True, eq=False, slots=True, repr=False)
class Predictions(Sequence[Prediction]):
    """What the model says of N images, in their order.

    An image has no answer where the model's outputs for it are not numbers (NaN, infinities) or no probabilities.
    `Classifier.predict` raises then, unless it was asked to keep such rows.

    Attributes:
        class_names: the K classes in the order of the columns below.
        logits: float32 [N, K].
        probabilities: float32 [N, K]; each row sums to 1 where there is an answer.
        paths: N paths of the pictures as they were given or found; None where the images did not come as paths.
        statistics: the bundle's statistics of its validation images, of which `sets` are made.
    """

    class_names: tuple[str, ...]
    logits: Float32Array
    probabilities: Float32Array
    paths: tuple[str, ...] | None = None
    statistics: "StatisticsSource | None" = None

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """Whether each image has an answer, [N]."""
        return answered(self.logits, self.probabilities)

    @property
    def indices(self) -> npt.NDArray[np.int64]:
        """Most probable class of each image as its index, int64 [N]; the first one of equals.

        Raises:
            NoAnswerError: an image has none.
        """
        self.require_answers()
        indices: npt.NDArray[np.int64] = np.argmax(self.logits, axis=1)
        return indices

    @property
    def indices_or_none(self) -> npt.NDArray[np.int64]:
        """The same, int64 [N], with `NO_ANSWER` (-1) for an image that has none."""
        return decide(self.logits, self.probabilities)

    @property
    def labels(self) -> list[str]:
        """Most probable class of each image by name.

        Raises:
            NoAnswerError: an image has none.
        """
        return [self.class_names[index] for index in self.indices]

    @property
    def labels_or_none(self) -> list[str | None]:
        """Most probable class of each image by name; None for an image that has none."""
        return [None if index == NO_ANSWER else self.class_names[index] for index in self.indices_or_none]

    @property
    def confidences(self) -> Float32Array:
        """Probability of the most probable class of each image, float32 [N]; NaN for an image that has no answer."""
        confidences: Float32Array = np.max(self.probabilities, axis=1)
        if not all_answered(self.logits, self.probabilities):
            confidences[~self.answered] = np.nan
        return confidences

    def top(self, count: int) -> list[list[tuple[str, float]]]:
        """Return for each image its `count` most probable classes with their probabilities, best first.

        The list of an image that has no answer is empty.
        """
        # By the logits, as `indices` is: several probabilities may round to the same number.
        order = np.argsort(-self.logits, axis=1, kind="stable")[:, :count]
        return [
            [(self.class_names[column], float(row[column])) for column in columns] if given else []
            for row, columns, given in zip(self.probabilities, order, self.answered, strict=True)
        ]

    def members(self, coverage: float, *, by_class: bool = False, allow_empty: bool = False) -> "Members":
        """Return which classes are in each image's set, see `sets`, bool [N, K].

        Args:
            coverage: probability that the right class is in the set, more than 0 and less than 1.
            by_class: whether each class's own images are covered as often, which makes larger sets.
            allow_empty: whether a set may have no class at all. Else the most probable class is always in it: a model
                that is right more often than was asked for then covers as often as it is right.

        Raises:
            As for `sets`.
        """
        if self.statistics is None:
            raise UsageError("These predictions don't know their model's bundle.", "Make them with Classifier.predict.")
        calibration = self.statistics.read().conformal
        return calibration.members(
            *(self.probabilities, coverage, self.class_names),
            by_class=by_class,
            allow_empty=allow_empty,
            decisions=self.indices_or_none,
        )

    def sets(self, coverage: float, *, by_class: bool = False, allow_empty: bool = False) -> list[tuple[str, ...]]:
        """Return for each image the classes among which the right one is with a probability of `coverage` or more.

        It holds for images drawn as the model's validation images were (docs/how-to/conformal.md). The classes are in
        the order of their probabilities, best first; an image that has no answer has none.

        Args:
            coverage: probability that the right class is in the set, more than 0 and less than 1.
            by_class: whether each class's own images are covered as often, which makes larger sets.
            allow_empty: whether a set may have no class at all, see `members`.

        Raises:
            UsageError: a coverage that cannot be promised, or a bundle that keeps nothing of its validation images.
            BundleError: what it keeps is altered or not readable.
        """
        inside = self.members(coverage, by_class=by_class, allow_empty=allow_empty)
        order = np.argsort(-self.logits, axis=1, kind="stable")
        return [
            tuple(self.class_names[column] for column in columns[row[columns]].tolist())
            for columns, row in zip(order, inside, strict=True)
        ]

    def require_answers(self, first: int = 0) -> None:
        """Check that every image has an answer.

        Args:
            first: place of the first image in what the caller was given; the error counts from there.

        Raises:
            NoAnswerError: some have none.
        """
        if not all_answered(self.logits, self.probabilities):
            raise NoAnswerError.at([first + int(index) for index in np.flatnonzero(~self.answered)], len(self))

    @overload
    def __getitem__(self, index: int) -> Prediction: ...

    @overload
    def __getitem__(self, index: slice) -> "Predictions": ...

    def __getitem__(self, index: int | slice) -> "Prediction | Predictions":
        if isinstance(index, slice):
            paths = self.paths[index] if self.paths is not None else None
            return Predictions(self.class_names, self.logits[index], self.probabilities[index], paths, self.statistics)
        logits, probabilities = self.logits[index], self.probabilities[index]
        given = bool(answered(logits[np.newaxis], probabilities[np.newaxis])[0])
        path = self.paths[index] if self.paths is not None else None
        return Prediction(self.class_names, logits, probabilities, given, path)

    def __iter__(self) -> Iterator[Prediction]:
        return (self[index] for index in range(len(self)))

    def metrics(self, labels: Sequence[int] | Sequence[str] | Int64Array) -> "Metrics":
        """Return accuracy, precision, recall, F1 and confusion matrix against the true classes.

        Args:
            labels: N class names, or N indices into `class_names`.

        Raises:
            UsageError: another number of labels than images, or one that is not a class of the model.
        """
        if len(labels) != len(self):
            raise UsageError(f"There are {len(labels):,} labels for {len(self):,} images.", "Give one per image.")
        from torchstone_runtime.metrics.classification import metrics_from_labels  # noqa: PLC0415 - needs labels

        return metrics_from_labels(class_indices(labels, self.class_names), self.indices_or_none, self.class_names)

    def to_dict(self, count: int = 5) -> list[dict[str, Any]]:
        """Return `Prediction.to_dict` of each image."""
        return [prediction.to_dict(count) for prediction in self]

    def to_pandas(self) -> Any:  # noqa: ANN401 - a pandas.DataFrame, where pandas is installed
        """Return a pandas DataFrame: path (where known), label, probability, and the probability of each class.

        Raises:
            MissingComponentError: pandas is not installed.
        """
        columns: dict[str, Any] = {"path": list(self.paths)} if self.paths is not None else {}
        columns |= {"label": self.labels_or_none, "probability": self.confidences}
        columns |= {f"p({name})": self.probabilities[:, index] for index, name in enumerate(self.class_names)}
        return make_frame(columns)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.labels_or_none[:_LABELS_SHOWN]))
        more = ", ..." if len(self) > _LABELS_SHOWN else ""
        return f"Predictions({len(self)} images, {len(self.class_names)} classes: [{shown}{more}])"

    def _repr_html_(self) -> str:
        from torchstone_runtime.html_table import html_table, more_rows  # noqa: PLC0415 - for notebooks alone

        rows = [
            (item.path or index, item.label or NO_ANSWER_TEXT, float(item.probability))
            for index, item in enumerate(self[:_ROWS_SHOWN])
        ]
        table = html_table(("image", "label", "probability"), rows)
        return table + more_rows(len(self), _ROWS_SHOWN, "images")

    def __len__(self) -> int:
        return len(self.logits)


def class_indices(labels: Sequence[int] | Sequence[str] | Int64Array, class_names: tuple[str, ...]) -> Int64Array:
    """Return labels, names or indices, as int64 indices of classes.

    Raises:
        UsageError: one is not a class.
    """
    given = np.asarray(labels)
    if given.dtype.kind == "U":
        known = {name: index for index, name in enumerate(class_names)}
        if strange := sorted(set(given.tolist()) - known.keys()):
            raise UsageError(f"'{strange[0]}' is not a class of the model.", suggestion(strange[0], class_names))
        return np.array([known[name] for name in given.tolist()], dtype=np.int64)
    if given.size and (given.dtype.kind not in "iu" or given.min() < 0 or given.max() >= len(class_names)):
        raise UsageError(
            f"The labels are {given.dtype}, not indices of the model's {len(class_names)} classes.",
            f"Give class names, or whole numbers from 0 to {len(class_names) - 1}.",
        )
    return given.astype(np.int64)
