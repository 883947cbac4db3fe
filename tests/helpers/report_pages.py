"""Every page of the runtime with everything that it can show, for any number of classes."""

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from PIL import Image

from helpers.photographs import photograph, photograph_tree
from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.audit.audited_pictures import open_source
from torchstone_runtime.audit.data_audit import DataAudit, audit_source
from torchstone_runtime.audit.label_errors import Confidences, LabelError
from torchstone_runtime.audit.predicted import Predicted
from torchstone_runtime.benchmark.bench import Benchmark, Startup, SteadyState
from torchstone_runtime.benchmark.timing import TimeEstimate
from torchstone_runtime.corruption import CORRUPTIONS, SEVERITIES
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.drift.drift_report import DriftReport, FeatureDrift
from torchstone_runtime.errors import ImageError
from torchstone_runtime.evaluation.comparison import Comparison, Side
from torchstone_runtime.evaluation.conformal_sets import ClassSets, SetFigures
from torchstone_runtime.evaluation.evaluate import Evaluation
from torchstone_runtime.evaluation.explanations import ExplainedMistake
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.evaluation.occlusion import Evidence
from torchstone_runtime.evaluation.robustness import Robustness
from torchstone_runtime.evaluation.slices import Slice
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.inference.predict_pictures import FailedImage, PicturePrediction
from torchstone_runtime.metrics.gates import Gate, judge
from torchstone_runtime.metrics.probability_scores import Estimate, ProbabilityScores
from torchstone_runtime.metrics.summary_metrics import LEVELS, SummaryMetrics
from torchstone_runtime.report import comparison
from torchstone_runtime.report.audit_page import audit_page
from torchstone_runtime.report.bench_page import bench_page
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.report.html import render_html
from torchstone_runtime.report.measured_file import MeasuredFile
from torchstone_runtime.report.prediction_gallery import PredictionGallery
from torchstone_runtime.report.robustness import RobustnessDocument
from torchstone_runtime.report.robustness_page import robustness_page
from torchstone_runtime.report.scoring_page import summary_html
from torchstone_runtime.scoring.tally import Tally

_SIDE: Final = 28
_PLAN: Final = ExecutionPlan("fp32", "cpu", "asked for", 2, 64)
_HALF: Final = Estimate(0.5, (0.4, 0.6))
_TIME: Final = TimeEstimate(0.0123, 0.0119, 0.0131)


def names_of(classes: int) -> tuple[str, ...]:
    """Return names as people give them: short ones, and some that are long."""
    words = ("cat", "ankle boot", "striped-skunk (juvenile, winter coat)", "t-shirt", "7")
    return tuple(f"{words[index % len(words)]} {index}" for index in range(classes))


def split_of(classes: int, least: int = 120) -> Split:
    """Return four images of noise a class, the worst for a page's size, or `least` of them; of one class one."""
    count = max(least, 4 * classes) if classes > 1 else 1
    pixels = np.random.default_rng(1).integers(0, 256, (count, 3, _SIDE, _SIDE), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % classes
    return Split("test", ArrayStore(pixels), labels, names_of(classes), [f"shop/photo-{i}.png" for i in range(count)])


def predictions_of(split: Split, seed: int = 0, right: float = 0.6) -> LabelledPredictions:
    """Return predictions of which a share is right."""
    generator = np.random.default_rng(seed)
    other = generator.integers(0, len(split.class_names), len(split))
    predicted = np.where(generator.random(len(split)) < right, split.labels, other)
    return LabelledPredictions.of(split, predicted, generator.uniform(0.3, 1, len(split)).astype(np.float32))


def measured(split: Split) -> MeasuredFile:
    """Return the circumstances of a measurement."""
    return MeasuredFile(
        model="shoes-and-shirts",
        bundle="bundles/shoes-and-shirts",
        sha256="5" * 64,
        plan=_PLAN,
        dataset="folder:photographs/of-the-shop",
        split=split,
        split_reason="its own test part",
        certified=True,
    )


def evaluation(classes: int) -> str:
    """An evaluation with gates, groups, sets, drift, label errors and explanations."""
    split = split_of(classes)
    seen = predictions_of(split)
    scores = ProbabilityScores(_HALF, _HALF, {5: _HALF})
    found = Evaluation(
        seen.ids, seen.class_names, seen.labels, seen.predicted, seen.confidence,
        split=split, scores=scores, seconds=3.0, sets=_sets(classes), drift=_drift(),
    )  # fmt: skip
    gates = judge([Gate("accuracy", 0.9)], {"accuracy": _HALF}, on_interval=False)
    slices = [Slice("camera", f"camera {index}", seen.metrics) for index in range(3)]
    return render_html(EvaluationDocument(measured(split), found, slices, gates, _explained(split), _errors(split)))


def _sets(classes: int) -> SetFigures:
    own = tuple(ClassSets(name, 10, 9, 15) for name in names_of(classes))
    return SetFigures(0.9, by_class=False, calibration_images=500, sizes={1: 100, 2: 20}, classes=own)


def _drift() -> DriftReport:
    return DriftReport(120, 500, (FeatureDrift("brightness", 0.3, 1e-6, "darker"), FeatureDrift("colour", 0, 1, "")))


def _explained(split: Split) -> list[ExplainedMistake]:
    generator = np.random.default_rng(0)
    falls = [generator.normal(size=(_SIDE, _SIDE)).astype(np.float32) for _ in range(2)]
    pair = [Evidence(label, 0.5, 0.1, fall) for label, fall in enumerate(falls)]
    return [ExplainedMistake(index, split.store.read(np.array([index]))[0], *pair) for index in range(8)]


def _errors(split: Split) -> list[LabelError]:
    return [LabelError(index, int(split.labels[index]), 0, 0.01, 0.98) for index in range(40)]


def compared(classes: int) -> str:
    """A comparison with pictures."""
    return _compared(classes, split_of(classes))


def compared_files(classes: int) -> str:
    """A comparison of two predictions files, without pictures."""
    return _compared(classes, None)


def _compared(classes: int, split: Split | None) -> str:
    given = split or split_of(classes)
    a, b = (Side(name, f"bundles/{name}", predictions_of(given, seed)) for seed, name in enumerate("AB"))
    return comparison.render_html(Comparison(a, b, speed=TimeEstimate(1.2, 1.1, 1.3)), split)


def robustness(classes: int) -> str:
    """All corruptions at all severities, with a gate."""
    figures = SummaryMetrics(0.75, 0.1, dict.fromkeys(LEVELS, 0.8), dict.fromkeys(LEVELS, 0.4))
    settings = {(name, level): figures for name in CORRUPTIONS for level in SEVERITIES}
    found = Robustness(0, figures, settings)
    document = RobustnessDocument(file=measured(split_of(classes)), robustness=found, seconds=3, min_accuracy=0.9)
    return robustness_page(document)


def bench(_classes: int) -> str:
    """Batches that were measured, and one that was too noisy."""
    times = dict.fromkeys(("p50", "p90", "p99"), _TIME)
    calm, noisy = TimeEstimate(1.0, 0.99, 1.01), TimeEstimate(2.0, 1.9, 2.1)
    steady = tuple(SteadyState(batch, 2, 100, noisy if batch > 8 else calm, times) for batch in (1, 8, 64))
    machine = {"processor": "AMD", "processors": 2, "load_average": [0.1, 0.2, 0.3], "versions": {"python": "3.12.1"}}
    startup = Startup(dict.fromkeys(("import", "load", "first_run"), _TIME), {"first_run": 90_000_000})
    return bench_page(Benchmark("shoes-and-shirts", "bundles/shoes-and-shirts", _PLAN, machine, startup, steady, 8))


def audit(classes: int) -> str:
    """A folder with a fault of every kind: unreadable files, leaks, two labels, copies, likely label errors."""
    with TemporaryDirectory() as folder:
        return audit_page(_audited(names_of(classes), Path(folder) / "photographs"))


def _audited(names: tuple[str, ...], root: Path) -> DataAudit:
    photograph_tree(root / "train", {names[0]: 4, names[1]: 4})
    for seed, name in enumerate(names[2:]):
        (root / "train" / name).mkdir()
        noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "train" / name / "0.png")
    photograph_tree(root / "test", {names[0]: 2, names[1]: 2}, first=9_000)
    first, second = root / "train" / names[0], root / "train" / names[1]
    content = (first / "0.jpg").read_bytes()
    (first / "cut.jpg").write_bytes(content[:99])
    for copy in (first / "copy.jpg", second / "conflict.jpg"):
        copy.write_bytes(content)
    photograph(9_000).resize((100, 75)).save(first / "leak.jpg")
    (second / "same.jpg").write_bytes((second / "1.jpg").read_bytes())
    source = open_source(DatasetRef("folder", root))
    looked = audit_source(source)
    probabilities = np.full((len(source), len(names)), 0.1 / len(names))
    probabilities[np.arange(len(source)), looked.labels] = 0.9
    probabilities[:2] = probabilities[:2, ::-1]
    return replace(looked, predicted=[_predicted(looked.labels, probabilities, names)])


def _predicted(labels: Int64Array, probabilities: Float64Array, names: tuple[str, ...]) -> Predicted:
    order = np.arange(len(labels))
    return Predicted(order, Confidences.of(labels, probabilities), names, "a model", seen=False)


def summary(classes: int) -> str:
    """What a scored folder adds up to, with errors, labels and drift."""
    counts = Counter({name: 50 + index for index, name in enumerate(names_of(classes))})
    steps = Counter(dict.fromkeys(range(20), 5))
    tally = Tally(counts.total() + 3, Counter({"not a picture": 3}), counts, steps, 100, 90)
    model = {"sha256": "5" * 64, "variant": "fp32", "provider": "cpu"}
    return summary_html("shoes-and-shirts", {"model": model, "input": {"sha256": "6" * 64}}, tally, _drift())


def gallery(classes: int) -> str:
    """Predictions of pictures, of which some are unsure, without an answer, or unreadable."""
    file, names = io.BytesIO(), names_of(classes)
    pages = PredictionGallery(file, model="shoes-and-shirts", plan=str(_PLAN))
    pixels = np.random.default_rng(2).integers(0, 256, (3, 96, 96), dtype=np.uint8)
    for index in range(20):
        top = [(names[index % classes], 0.7), (names[(index + 1) % classes], 0.2)]
        answer = PicturePrediction(f"photos/{index}.jpg", [] if index == 1 else top, encode_png(pixels))
        pages.add(answer, unsure=index == 2)
    pages.add_failure(FailedImage("photos/notes.jpg", ImageError("photos/notes.jpg is not a picture.")))
    pages.finish()
    return file.getvalue().decode()


PAGES: Final[dict[str, Callable[[int], str]]] = {
    "evaluate": evaluation,
    "compare": compared,
    "compare-files": compared_files,
    "robustness": robustness,
    "bench": bench,
    "data": audit,
    "score": summary,
    "predict": gallery,
}
"""How each page is made, of a number of classes."""
CLASSES: Final = {"evaluate": (2, 10, 60, 100, 1000), "data": (2, 10, 100, 1000), "robustness": (2,), "bench": (2,)}
"""Numbers of classes for which a page differs; 60 is the largest matrix that is a table."""
FEW_AND_MANY: Final = (2, 1000)
"""Those of the other pages."""
