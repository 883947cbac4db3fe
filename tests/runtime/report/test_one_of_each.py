import re
from collections import Counter
from pathlib import Path

import numpy as np

from helpers.report_pages import measured, split_of
from helpers.support import write_image_tree
from torchstone_runtime.audit.audited_pictures import open_source
from torchstone_runtime.audit.data_audit import audit_source
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.evaluation.evaluate import Evaluation
from torchstone_runtime.metrics.probability_scores import Estimate, ProbabilityScores
from torchstone_runtime.report.audit_page import audit_page
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.report.html import render_html
from torchstone_runtime.report.scoring_page import summary_html
from torchstone_runtime.scoring.tally import Tally

PLURALS = re.compile(r"(?<![\d,.])1 (?:more )?(?:images|pictures|samples|classes|pairs|files|groups|labels)\b")


def test_an_evaluation_of_one_image_has_no_images() -> None:
    """Its title, cards, diagrams and groups say "1 image"."""
    split = split_of(1)
    half, sure = Estimate(0.5, (0.4, 0.6)), np.array([0.9], dtype=np.float32)
    found = (split.ids, split.class_names, split.labels, split.labels, sure)
    scores = ProbabilityScores(half, half, {})
    text = render_html(EvaluationDocument(measured(split), Evaluation(*found, split=split, scores=scores, seconds=1.0)))
    assert "1 image of the split" in text
    assert PLURALS.findall(text) == []


def test_an_audit_of_one_class_has_no_classes(tmp_path: Path) -> None:
    """With one picture of it."""
    text = audit_page(audit_source(open_source(DatasetRef("folder", write_image_tree(tmp_path / "data", {"cat": 1})))))
    assert "1 picture of 1 class<" in text
    assert PLURALS.findall(text) == []


def test_one_scored_picture_is_no_pictures() -> None:
    """In the title of the summary."""
    record = {"model": {"sha256": "5", "variant": "fp32", "provider": "cpu"}, "input": {"sha256": "6"}}
    text = summary_html("m", record, Tally(1, Counter(), Counter({"cat": 1}), Counter({19: 1})), None)
    assert "m: 1 picture scored" in text
    assert PLURALS.findall(text) == []
