"""Images for which a model gives no answer: its outputs are not numbers, or no probabilities."""

import csv
import io
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from helpers.in_process import run_in_process
from helpers.support_silent import Fault, write_silent_model
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.errors import NoAnswerError, UsageError
from torchstone_runtime.evaluation.predictions_file import read_predictions
from torchstone_runtime.evaluation.robustness import measure_robustness
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.answered import all_answered, answered

FAULTS = get_args(Fault)
LEVELS = {"ant": (120, 50), "bee": (200, 20, 190)}
"""Mean levels of the pictures of each class; the model is silent below 100."""


def pixels(levels: list[int]) -> Uint8Array:
    """Return a picture of each level."""
    return np.broadcast_to(np.array(levels, np.uint8).reshape(-1, 1, 1, 1), (len(levels), 1, 8, 8)).copy()


@pytest.fixture(scope="module", params=FAULTS)
def silent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classifier]:
    """A model of each fault, loaded."""
    path = write_silent_model(tmp_path_factory.mktemp("silent") / "model.onnx", request.param)
    with Classifier.load(path, provider="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives NaN for dark pictures."""
    return write_silent_model(tmp_path_factory.mktemp("silent") / "model.onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of both classes, two of them dark."""
    root = tmp_path_factory.mktemp("pictures")
    for name, levels in LEVELS.items():
        (root / name).mkdir()
        for index, level in enumerate(levels):
            Image.new("L", (8, 8), level).save(root / name / f"{index}.png")
    return root


def test_predict_raises_an_error_that_says_which(silent: Classifier) -> None:
    """By their places in what was given, and in words."""
    with pytest.raises(NoAnswerError, match=r"no answer for 2 of 4 images.*indices: 1, 3\.") as raised:
        silent.predict(pixels([120, 10, 200, 90]))
    assert raised.value.indices == (1, 3)
    assert raised.value.exit_code == 1
    assert pickle.loads(pickle.dumps(raised.value)).indices == (1, 3)  # noqa: S301 - our own bytes


def test_the_other_answers_are_kept_on_request(silent: Classifier) -> None:
    """Rows without an answer have no label, no confidence and no ranking."""
    found = silent.predict(pixels([120, 10, 200]), unanswered="keep")
    assert found.answered.tolist() == [True, False, True]
    assert found.labels_or_none == ["ant", None, "bee"]
    assert found.indices_or_none.tolist() == [0, -1, 1]
    assert np.isnan(found.confidences).tolist() == [False, True, False]
    assert [len(ranking) for ranking in found.top(2)] == [2, 0, 2]
    with pytest.raises(NoAnswerError):
        _ = found.labels
    with pytest.raises(NoAnswerError):
        _ = found.indices


def test_answers_of_all_images_are_as_ever(silent: Classifier) -> None:
    """Where nothing is wrong, the two ways agree."""
    found = silent.predict(pixels([120, 200]))
    assert found.labels == found.labels_or_none == ["ant", "bee"]
    assert found.indices.tolist() == found.indices_or_none.tolist() == [0, 1]


def test_places_in_a_stream_are_counted_over_the_whole_of_it(silent: Classifier, tmp_path: Path) -> None:
    """The batches before come first; with `keep` all of them come."""
    files = []
    for index, level in enumerate([120, 200, 130, 10, 150, 20]):
        files.append(tmp_path / f"{index}.png")
        Image.new("L", (8, 8), level).save(files[-1])
    stream = silent.stream(files, 2)
    assert next(stream).labels == ["ant", "bee"]
    with pytest.raises(NoAnswerError, match="indices: 3") as raised:
        next(stream)
    assert raised.value.indices == (3,)
    kept = [part.answered.tolist() for part in silent.stream(files, 2, unanswered="keep")]
    assert kept == [[True, True], [True, False], [True, False]]
    with pytest.raises(NoAnswerError, match="indices: 3, 5"):
        silent.predict(files)


def test_another_wish_is_refused(silent: Classifier) -> None:
    """A misspelt `keep` must not mean `raise`."""
    with pytest.raises(UsageError, match="'raise' or 'keep'"):
        silent.predict(pixels([120]), unanswered="skip")  # type: ignore[arg-type]  # what is tried


FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, 0.5, 1.0, 3e38, -3e38])


@given(hnp.arrays(np.float32, (3, 2), elements=FLOATS), hnp.arrays(np.float32, (3, 2), elements=FLOATS))
def test_the_quick_check_agrees_with_the_exact_one(logits: np.ndarray, probabilities: np.ndarray) -> None:
    """Whatever the outputs are: huge finite logits are an answer, too."""
    assert all_answered(logits, probabilities) == answered(logits, probabilities).all()


@given(hnp.arrays(np.float32, (4, 5), elements=st.floats(-80, 80, width=32)))
def test_every_softmax_of_numbers_is_an_answer(logits: np.ndarray) -> None:
    """No rounding is mistaken for a fault, in 16 bits either."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    assert all_answered(logits, probabilities)
    assert Predictions(tuple("abcde"), logits, probabilities.astype(np.float16).astype(np.float32)).answered.all()


def test_predict_writes_null_and_fails(model: Path, folder: Path) -> None:
    """JSON stays JSON; the pictures are named on stderr; the exit code is that of a failed check."""
    result = run_in_process("predict", model, folder, "--json", "--top", "2")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in result.stdout.splitlines()]
    found = {Path(row["path"]).relative_to(folder).as_posix(): row for row in rows}
    assert {name: row["class"] for name, row in found.items()} == {
        "ant/0.png": "ant",
        "ant/1.png": None,
        "bee/0.png": "bee",
        "bee/1.png": None,
        "bee/2.png": "bee",
    }
    assert (found["ant/1.png"]["probability"], found["ant/1.png"]["top"]) == (None, [])
    assert result.returncode == 1
    assert f"no answer: {folder / 'ant' / '1.png'}" in result.stderr
    assert "no answer for 2 of 5 images" in result.stderr


def test_predict_leaves_csv_fields_empty_and_names_it_in_text(model: Path, folder: Path, tmp_path: Path) -> None:
    """Every row has the header's number of fields; unsure is something else."""
    page = tmp_path / "page.html"
    picture = folder / "ant" / "1.png"
    result = run_in_process("predict", model, picture, "--format", "csv", "--top", "2", "--min-confidence", "0.9")
    assert list(csv.reader(io.StringIO(result.stdout)))[1] == [str(picture), *[""] * 6]
    assert "unsure" not in result.stderr
    text = run_in_process("predict", model, picture, folder / "bee", "--gallery", page)
    assert text.stdout.splitlines()[0] == f"{picture}\t(no answer)"
    assert text.returncode == result.returncode == 1
    assert "Without an answer" in page.read_text()


def test_evaluate_counts_names_and_fails(model: Path, folder: Path, tmp_path: Path) -> None:
    """The document and the other files are written nevertheless, and strict."""
    report, predictions = tmp_path / "report.html", tmp_path / "predictions.csv"
    result = run_in_process(
        *("evaluate", model, "--data", f"folder:{folder}", "--json", "-"),
        *("--report", report, "--predictions", predictions),
    )
    document = json.loads(result.stdout, parse_constant=pytest.fail)
    assert document["unanswered"] == ["ant/1.png", "bee/1.png"]
    assert (document["metrics"]["accuracy"], document["metrics"]["unanswered"]) == (0.6, 2)
    assert [item["support"] for item in document["metrics"]["per_class"]] == [2, 3]
    assert document["figures"]["macro F1"]["value"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert (result.returncode, "ant/1.png, bee/1.png" in result.stderr) == (1, True)
    assert "(no answer)" in report.read_text()
    read = read_predictions(predictions)
    assert (read.predicted.tolist(), read.unanswered_ids) == ([0, -1, 1, -1, 1], ["ant/1.png", "bee/1.png"])


def test_a_gate_that_fails_is_told_before_images_without_an_answer(model: Path, folder: Path) -> None:
    """One error holds both."""
    result = run_in_process("evaluate", model, "--data", f"folder:{folder}", "--min-accuracy", "0.9")
    assert "not good enough" in result.stderr
    assert "no answer for 2 of 5 images" in result.stderr
    assert result.stderr.count("Error:") == 1


def test_compare_shows_no_class_where_there_is_none(model: Path, folder: Path, tmp_path: Path) -> None:
    """Against a model that answers everything; null in JSON, empty in CSV, named in text and page."""
    sound = tmp_path / "p.csv"
    rows = [
        f"{name}/{i}.png,{name},{name},1,1.0,{int(name == 'ant')},{int(name == 'bee')}"
        for name, levels in LEVELS.items()
        for i in range(len(levels))
    ]
    sound.write_text("\n".join(["id,true,predicted,correct,margin,p(ant),p(bee)", *rows]) + "\n")
    page, table = tmp_path / "page.html", tmp_path / "d.csv"
    arguments = ("compare", sound, model, "--data", f"folder:{folder}", "--report", page, "--csv", table)
    result = run_in_process(*arguments, "--json", "-")
    document = json.loads(result.stdout, parse_constant=pytest.fail)
    assert document["unanswered"] == {"a": [], "b": ["ant/1.png", "bee/1.png"]}
    assert [(item["b"], item["b_probability"]) for item in document["differing"]] == [(None, None)] * 2
    assert {item["variant"] for item in document["confusion_difference"]} == {None}
    assert document["counts"]["only_a_right"] == 2
    assert result.returncode == 1
    assert "B: The model gives no answer for 2 of 5 images" in result.stderr
    assert "(no answer)" in page.read_text()
    assert next(csv.DictReader(io.StringIO(table.read_text())))["b"] == ""
    assert "B (no answer)" in run_in_process(*arguments).stdout


def test_robustness_counts_pictures_that_a_corruption_silences(model: Path, folder: Path) -> None:
    """Inverted, the dark pictures are bright, and the bright ones dark."""
    result = run_in_process(
        *(
            "robustness",
            model,
            "--data",
            f"folder:{folder}",
            "--corruption",
            "inversion",
            "--severity",
            "5",
            "--json",
            "-",
        )
    )
    found = json.loads(result.stdout, parse_constant=pytest.fail)["robustness"]
    by_setting = {(item["corruption"], item["severity"]): item["ids"] for item in found["unanswered"]}
    assert by_setting[None, None] == ["ant/1.png", "bee/1.png"]
    assert found["clean"]["accuracy"] == 0.6
    assert result.returncode == 1
    assert "no answer" in result.stderr


def test_a_measurement_of_robustness_is_read_back_with_its_silence(model: Path, folder: Path) -> None:
    """Also one that an earlier version wrote, which knows of none."""
    with Classifier.load(model) as loaded:
        data = Dataset(DatasetRef("folder", folder), folder, loaded.input_spec, loaded.class_names)
        found = measure_robustness(loaded, data.whole(), ["inversion"], [1])
    again = type(found).from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again.unanswered == found.unanswered
    old = {key: value for key, value in found.to_json().items() if key != "unanswered"}
    assert type(found).from_json(old).unanswered == {}
