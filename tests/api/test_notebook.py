"""What a notebook shows of runs and evaluations with hostile names: small, escaped, and without any script."""

import re
from pathlib import Path

import numpy as np

import torchstone
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.evaluation.evaluate import Evaluation
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.metrics.probability_scores import Estimate, ProbabilityScores
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.report.measured_file import MeasuredFile

HOSTILE = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\u202egnp.exe", "x" * 10_000)


def check_harmless(page: str) -> None:
    """Only tags of a table without attributes, nothing that turns the text around, and a few kilobytes."""
    assert set(re.findall(r"<\s*/?([^>]*)>", page)) <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
    assert "\u202e" not in page
    assert len(page) < 20_000


def test_an_evaluation() -> None:
    """Every class is a row; names of classes, model and data are text."""
    labels = np.arange(len(HOSTILE), dtype=np.int64)
    split = Split("test", ArrayStore(np.zeros((4, 1, 2, 2), np.uint8)), labels, HOSTILE, list("abcd"))
    half, sure = Estimate(0.5, None), np.full(4, 0.9, dtype=np.float32)
    scores = ProbabilityScores(half, half, {})
    evaluation = Evaluation(split.ids, HOSTILE, labels, labels, sure, split=split, scores=scores, seconds=1.0)
    file = MeasuredFile(
        model=HOSTILE[0],
        bundle=HOSTILE[1],
        sha256="5" * 64,
        plan=ExecutionPlan("fp32", "cpu", "asked for", 2, 64),
        dataset=HOSTILE[1],
        split=split,
        split_reason="its own test part",
        certified=True,
    )
    page = torchstone.EvaluationResult(EvaluationDocument(file, evaluation))._repr_html_()
    check_harmless(page)
    assert "accuracy 1.0000" in page
    assert page.count("<tr>") == 1 + len(HOSTILE)


def test_a_run_of_many_epochs() -> None:
    """Its last 30 epochs, the one whose weights are kept, and how many more there are."""
    figures = {"loss": 0.1, "accuracy": 0.9, "f1_macro": 0.9}
    history = tuple({"epoch": number, "train": figures, "validation": figures} for number in range(1, 1001))
    info = {"recipe": {"name": HOSTILE[0]}, "best_epoch": 7, "metrics": figures}
    page = torchstone.TrainingRun(Path(HOSTILE[1]), info, history)._repr_html_()
    check_harmless(page)
    assert page.count("<tr>") == 1 + 31
    assert page.count("<td>kept</td>") == 1
    assert "and 969 more epochs" in page
