"""Likely label errors in the page of an evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.audit.label_error_tally import LabelErrorTally
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.report.label_errors import label_errors_html


@pytest.fixture
def mislabelled(tmp_path: Path) -> Path:
    """A hundred digits, of which the first has a wrong label, as a file."""
    digits = load_digits()
    labels = digits.labels[:100].copy()
    labels[0] = (labels[0] + 5) % 10
    file = tmp_path / "mislabelled.npz"
    np.savez(file, images=digits.store.read(np.arange(100))[:, 0], labels=labels)
    return file


def test_wrong_labels_are_shown_with_what_is_likely(digits_bundle: Path, mislabelled: Path, tmp_path: Path) -> None:
    """The method and its authors are named."""
    page = tmp_path / "page.html"
    result = run_in_process(
        "evaluate", digits_bundle, "--data", f"npz:{mislabelled}", "--split", "all", "--report", page
    )
    assert result.returncode == 0, result.stderr
    section = page.read_text().split("<h2>Likely label errors</h2>")[1].split("</section>")[0]
    assert "Northcutt" in section
    true = load_digits().labels[0]
    assert f'alt="sample 0: labelled {(true + 5) % 10}, likely {true}"' in section


def test_wrong_labels_are_in_the_json_document(digits_bundle: Path, mislabelled: Path) -> None:
    """With the id that `--predictions` writes; no page has to be written for it."""
    result = run_in_process("evaluate", digits_bundle, "--data", f"npz:{mislabelled}", "--split", "all", "--json")

    first = json.loads(result.stdout)["label_errors"]["listed"][0]
    true = int(load_digits().labels[0])
    assert (first["id"], first["label"], first["likely"]) == ("0", str((true + 5) % 10), str(true))
    assert first["margin"] == pytest.approx(first["probability"] - first["likely_probability"])


def test_a_tally_of_batches_finds_what_the_whole_does() -> None:
    """An image without an answer is none of them."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9], [0.2, 0.8], [np.nan, np.nan]], dtype=np.float32)
    split = Split("x", ArrayStore(np.zeros((6, 1, 2, 2), np.uint8)), labels, ("a", "b"), list("uvwxyz"))
    tally = LabelErrorTally()
    for start in (0, 2, 4):
        part = sure[start : start + 2]
        tally.add(split, start, Predictions(("a", "b"), part, part))
    assert [(error.index, error.label, error.likely) for error in tally.errors()] == [(2, 0, 1)]
    assert LabelErrorTally().errors() == ()


def test_where_there_is_none_it_is_said() -> None:
    """And no gallery is drawn."""
    nothing = np.array([], dtype=np.int64)
    seen = LabelledPredictions([], ("a", "b"), nothing, nothing, np.array([], dtype=np.float32))
    page = label_errors_html(seen, ())
    assert "None was found." in page
    assert "gallery" not in page
