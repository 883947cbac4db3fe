"""`torchstone.evaluate`, and its result."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from torchstone.loading import BundleLike, bundle_path, load
from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.audit.label_error_tally import LabelErrorTally
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.class_map import ClassMap
from torchstone_runtime.data.left_out import recorded_left_out
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.data.split_choice import SplitChoice
from torchstone_runtime.drift.drift_report import DriftReport
from torchstone_runtime.errors import UsageError
from torchstone_runtime.evaluation.choose_split import choose_split
from torchstone_runtime.evaluation.conformal_sets import SetFigures
from torchstone_runtime.evaluation.evaluate import evaluate as measure
from torchstone_runtime.evaluation.explanations import explain as explain_samples
from torchstone_runtime.evaluation.explanations import explained_mistakes
from torchstone_runtime.evaluation.validation_watch import ValidationWatch
from torchstone_runtime.files import write_atomic
from torchstone_runtime.frames import make_frame
from torchstone_runtime.html_table import html_sentence, html_table, more_rows
from torchstone_runtime.images.array_input import as_batch
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import class_indices
from torchstone_runtime.metrics.classification import Metrics
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.report.html import render_html
from torchstone_runtime.report.measured_file import MeasuredFile
from torchstone_runtime.strict_json import finite_values

_ROWS: Final = 50

Arrays = tuple[Uint8Array, Sequence[int] | Sequence[str] | Int64Array]


@dataclass(frozen=True)
class EvaluationResult:
    """A model measured on labelled images.

    Attributes:
        document: everything that was measured, as reports show it.
    """

    document: EvaluationDocument

    @property
    def metrics(self) -> Metrics:
        """Accuracy, averages, figures by class and confusion matrix."""
        return self.document.evaluation.metrics

    @property
    def accuracy(self) -> float:
        """Share of images that are classified as their labels say, 0 to 1."""
        return self.metrics.accuracy

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """95% Clopper-Pearson interval of the accuracy."""
        return self.metrics.accuracy_interval

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes in the order of the confusion matrix."""
        return self.metrics.class_names

    @property
    def confusion_matrix(self) -> Int64Array:
        """Images by true class (rows) and predicted class (columns), int64 [K, K]."""
        return self.metrics.confusion

    @cached_property
    def by_class(self) -> dict[str, dict[str, float | int]]:
        """Precision, recall, F1 and support of each class by its name; NaN where a class does not occur."""
        return {
            item.name: {"precision": item.precision, "recall": item.recall, "f1": item.f1, "support": item.support}
            for item in self.metrics.per_class
        }

    @property
    def predicted(self) -> Int64Array:
        """Predicted class of each image as its index, int64 [N]; -1 where the model gives no answer."""
        return self.document.evaluation.predicted

    @property
    def labels(self) -> Int64Array:
        """True class of each image as its index, int64 [N]."""
        return self.document.evaluation.labels

    @property
    def ids(self) -> Sequence[str]:
        """Identifier of each image: a relative path, or its position in its file."""
        return self.document.evaluation.ids

    @property
    def sets(self) -> SetFigures | None:
        """How often sets of classes hold the right one, and their sizes; None where the bundle can promise none."""
        return self.document.evaluation.sets

    @property
    def drift(self) -> DriftReport | None:
        """How far the images lie from the model's validation images; None where its bundle keeps nothing of them."""
        return self.document.evaluation.drift

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `torchstone evaluate --json` prints; None where a figure is not defined."""
        document: dict[str, Any] = finite_values(self.document.to_json())
        return document

    def to_pandas(self) -> Any:  # noqa: ANN401 - a pandas.DataFrame, where pandas is installed
        """Return precision, recall, F1 and support as a pandas DataFrame with a row per class.

        Raises:
            MissingComponentError: pandas is not installed.
        """
        return make_frame(list(self.by_class.values()), index=list(self.by_class))

    def to_html(self) -> str:
        """Return the report of `torchstone evaluate --report`: a page that needs nothing around it."""
        return render_html(self.document)

    def save_report(self, path: str | os.PathLike[str]) -> None:
        """Write `to_html` to a file, whole or not at all.

        Raises:
            OutputError: it can't be written.
        """
        write_atomic(Path(path), self.to_html())

    def __repr__(self) -> str:
        low, high = self.accuracy_interval
        said = f"accuracy {self.accuracy:.4f} ({low:.4f} to {high:.4f}), macro F1 {self.metrics.macro.f1:.4f}"
        return f"EvaluationResult({self.document.file.model!r} on {self.document.file.dataset}: {said})"

    def _repr_html_(self) -> str:
        rows = [
            (item.name, item.precision, item.recall, item.f1, item.support) for item in self.metrics.per_class[:_ROWS]
        ]
        table = html_table(("class", "precision", "recall", "F1", "images"), rows)
        return html_sentence(repr(self)) + table + more_rows(len(self.class_names), _ROWS, "classes")


def evaluate(
    bundle: BundleLike | Classifier,
    *,
    data: str | Arrays,
    split: SplitChoice = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    class_map: str | os.PathLike[str] | Mapping[str, str | None] | None = None,
    variant: str | None = None,
    provider: str = "auto",
    threads: int | None = None,
    explain: int = 0,
    coverage: float | None = None,
) -> EvaluationResult:
    """Measure a bundle, or a loaded classifier, on labelled images. An image without an answer counts as wrong.

    Args:
        bundle: bundle that `export` returned, its path, the name of a built-in one, or a `Classifier`.
        data: `digits`, `fashion-mnist`, `mnist`, `folder:PATH` or `npz:FILE`; or images, uint8 [N, C, H, W], with N
            labels (names, or indices of the model's classes); these go without a class map.
        split: `auto`, `test`, `train` or `all`, as for `torchstone evaluate`.
        data_dir: directory of the downloaded datasets; `TORCHSTONE_DATA`, or `./data`, if None.
        class_map: file or mapping from the data's class names to the model's; None in a mapping leaves a class out.
        variant: model of the bundle, by name; its default one if None. Not for a `Classifier`, as the two below.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        threads: number of calls that run at once; the processors this process may use if None.
        explain: number of mistakes, most confident first, for which the report shows where the model looked; each takes
            some 145 runs of the model.
        coverage: probability with which the sets of `EvaluationResult.sets` hold the right class; 0.95 if None.

    Raises:
        DataError: the data is missing or unusable, or its classes are not the model's.
        UsageError: no such dataset, split or variant.
        ImageError: a picture cannot be decoded.
        As for `load`.
    """
    if isinstance(bundle, Classifier):
        if variant is not None or provider != "auto" or threads is not None:
            raise UsageError("A classifier is loaded already.", "Give variant, provider and threads to load.")
        return _measure(bundle, str(bundle.source.path), data, split, data_dir, class_map, explain, coverage)
    with load(bundle, variant=variant, provider=provider, threads=threads) as classifier:
        return _measure(classifier, str(bundle_path(bundle)), data, split, data_dir, class_map, explain, coverage)


def _measure(
    classifier: Classifier,
    name: str,
    data: str | Arrays,
    split: SplitChoice,
    data_dir: str | os.PathLike[str] | None,
    class_map: str | os.PathLike[str] | Mapping[str, str | None] | None,
    explain: int,
    coverage: float | None,
) -> EvaluationResult:
    mapping = _class_map(class_map)
    if isinstance(data, str):
        place = Path(data_dir) if data_dir is not None else None
        spec, names = classifier.input_spec, classifier.class_names
        left_out = recorded_left_out(classifier.provenance.get("dataset", {}))
        source = Dataset.for_model(DatasetRef.parse(data), place, spec, names, mapping, left_out)
        chosen, reason = choose_split(source, split, classifier.provenance)
    else:
        chosen, reason = _split_of(classifier, data), "the images that were given"
    watch = ValidationWatch.of(classifier, coverage)
    tally = LabelErrorTally()
    evaluation = measure(
        classifier, chosen, tally.add, class_map=None if isinstance(data, str) else mapping, watch=watch
    )
    dataset = data if isinstance(data, str) else "arrays"
    file = MeasuredFile.of(classifier, evaluation.split, reason, bundle=name, dataset=dataset)
    explanations = explain_samples(classifier, evaluation, explained_mistakes(evaluation, explain))
    return EvaluationResult(
        EvaluationDocument(file, evaluation, explanations=explanations, label_errors=tally.errors())
    )


def _class_map(given: str | os.PathLike[str] | Mapping[str, str | None] | None) -> ClassMap | None:
    if given is None or isinstance(given, ClassMap):
        return given
    return ClassMap.of(given.items()) if isinstance(given, Mapping) else ClassMap.read(Path(given))


def _split_of(classifier: Classifier, arrays: Arrays) -> Split:
    images, labels = arrays
    indices = class_indices(labels, classifier.class_names)
    ids = [str(index) for index in range(len(indices))]
    return Split("given", ArrayStore(as_batch(images, classifier.input_spec)), indices, classifier.class_names, ids)
