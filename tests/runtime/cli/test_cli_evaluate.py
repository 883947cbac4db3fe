import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.support import run_torchstone, write_image_tree
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.evaluate import evaluate
from torchstone_runtime.inference.classifier import Classifier


@pytest.fixture(scope="module")
def outputs(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder with every output file of one evaluation, and its text."""
    folder = tmp_path_factory.mktemp("outputs") / "made on demand"
    files = {
        "--json": "all.json",
        "--csv": "metrics.csv",
        "--confusion-csv": "confusion.csv",
        "--predictions": "predictions.csv",
        "--report": "report.html",
    }
    options = [part for option, name in files.items() for part in (option, folder / name)]
    result = run_in_process("evaluate", digits_bundle, "--data", "digits", "--split", "all", *options)
    assert result.returncode == 0, result.stderr
    assert {path.name for path in folder.iterdir()} == {*files.values()}
    return folder, result.stdout


@pytest.fixture(scope="module")
def document(outputs: tuple[Path, str]) -> dict[str, Any]:
    """The JSON document of that evaluation."""
    data = json.loads((outputs[0] / "all.json").read_text())
    assert isinstance(data, dict)
    return data


def test_the_document_has_the_numbers_of_the_library(
    document: dict[str, Any], classifier: Classifier, digits: Split
) -> None:
    """The command measures what `evaluate` measures."""
    expected = evaluate(classifier, digits)
    assert document["metrics"] == expected.metrics.to_json()
    assert document["decisions_sha256"] == expected.decisions_sha256
    assert document["data"]["fingerprint"] == digits.fingerprint


def test_the_text_has_the_numbers_of_the_document(outputs: tuple[Path, str], document: dict[str, Any]) -> None:
    """Accuracy, counts, and each row of the matrix."""
    metrics = document["metrics"]
    assert f"accuracy          {metrics['accuracy']:.4f}  ({metrics['correct']:,} of 1,797" in outputs[1]
    rows = [line.split()[1:] for line in outputs[1].splitlines()[-10:]]
    assert [[0 if cell == "." else int(cell) for cell in row] for row in rows] == metrics["confusion_matrix"]


def test_predictions_add_up_to_the_confusion_matrix(outputs: tuple[Path, str], document: dict[str, Any]) -> None:
    """One row a sample, in order, whose classes count up to the matrix and whose margins follow."""
    with (outputs[0] / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(index) for index in range(1797)]
    matrix = np.zeros((10, 10), dtype=int)
    for row in rows:
        matrix[int(row["true"]), int(row["predicted"])] += 1
        probabilities = sorted(float(row[f"p({digit})"]) for digit in range(10))
        assert float(row["margin"]) == pytest.approx(probabilities[-1] - probabilities[-2])
        assert row["correct"] == str(int(row["true"] == row["predicted"]))
    assert matrix.tolist() == document["metrics"]["confusion_matrix"]


def test_the_csv_files_agree_with_the_document(outputs: tuple[Path, str], document: dict[str, Any]) -> None:
    """Figures by class, and the matrix."""
    with (outputs[0] / "metrics.csv").open(newline="") as file:
        by_class = list(csv.DictReader(file))[:10]
    assert [float(row["f1"]) for row in by_class] == [c["f1"] for c in document["metrics"]["per_class"]]
    with (outputs[0] / "confusion.csv").open(newline="") as file:
        matrix = [[int(count) for count in row[1:]] for row in list(csv.reader(file))[1:]]
    assert matrix == document["metrics"]["confusion_matrix"]


def test_the_page_is_complete(outputs: tuple[Path, str], document: dict[str, Any]) -> None:
    """It states the accuracy and ends as a page does."""
    page = (outputs[0] / "report.html").read_text()
    assert f"{document['metrics']['accuracy']:.2%}" in page
    assert page.endswith("</html>\n")


def test_json_to_stdout_is_one_document_and_nothing_else(digits_bundle: Path) -> None:
    """Stdout parses as JSON; the split is the part that training held out, and the certificate's."""
    result = run_torchstone("evaluate", digits_bundle, "--data", "digits", "--json", "-")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["data"]["split"] == "test"
    assert document["data"]["same_as_certified"] is True
    stated = json.loads((digits_bundle / "manifest.json").read_text())["metrics"]["test"]
    assert document["metrics"]["accuracy"] == stated["accuracy"]
    assert document["metrics"]["confusion_matrix"] == stated["confusion_matrix"]


@pytest.mark.parametrize(("minimum", "code"), [("0", 0), ("1", 1)])
def test_a_minimum_accuracy_decides_the_exit_code(digits_bundle: Path, tmp_path: Path, minimum: str, code: int) -> None:
    """Below it the exit code is 1, with both numbers; the results are written all the same."""
    output = tmp_path / "result.json"
    arguments = ("--data", "digits", "--min-accuracy", minimum, "--json", output)
    result = run_in_process("evaluate", digits_bundle, *arguments)
    assert result.returncode == code
    assert ("required at least 1.0000" in result.stderr) == bool(code)
    assert "accuracy          0." in result.stdout
    assert 0 < json.loads(output.read_text())["metrics"]["accuracy"] < 1


def test_a_lone_model_is_measured(digits_bundle: Path) -> None:
    """Without a bundle the data is no part of a training as far as anyone knows."""
    result = run_in_process("evaluate", digits_bundle / "model.onnx", "--data", "digits", "--json", "-")
    document = json.loads(result.stdout)
    assert document["data"]["split"] == "whole"
    assert document["model"]["sha256"] == hashlib.sha256((digits_bundle / "model.onnx").read_bytes()).hexdigest()


def test_a_folder_is_measured_with_the_models_classes(digits_bundle: Path, tmp_path: Path) -> None:
    """Sub-folders are matched by name, pictures of another size and colour are converted."""
    write_image_tree(tmp_path, {"3": 2, "7": 1}, side=40, mode="RGB")
    result = run_in_process("evaluate", digits_bundle, "--data", f"folder:{tmp_path}", "--json", "-")
    document = json.loads(result.stdout)
    assert [item["support"] for item in document["metrics"]["per_class"]] == [0, 0, 0, 2, 0, 0, 0, 1, 0, 0]


def test_an_npz_file_is_measured(digits_bundle: Path, digits: Split, tmp_path: Path) -> None:
    """Arrays on disk give what the same arrays give in memory."""
    np.savez(tmp_path / "d.npz", images=digits.store.read(np.arange(50))[:, 0], labels=digits.labels[:50])
    result = run_in_process("evaluate", digits_bundle, "--data", f"npz:{tmp_path}/d.npz", "--json", "-")
    assert json.loads(result.stdout)["data"]["fingerprint"] == digits.select(np.arange(50), "x").fingerprint


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--min-macro-f1", "1", "macro F1 is 0."),
        ("--min-coverage", "1=1", "coverage at precision 1 is 0."),
        ("--max-log-loss", "0", "log loss is 0."),
        ("--max-brier", "0", "Brier score is 0."),
        ("--max-calibration-error", "0", "calibration error is 0."),
    ],
)
def test_every_gate_can_fail(digits_bundle: Path, option: str, value: str, told: str) -> None:
    """Exit code 1, with what was measured; the report says so, too."""
    result = run_in_process("evaluate", digits_bundle, "--data", "digits", option, value)
    assert result.returncode == 1
    assert f"The model is not good enough: {told}" in result.stderr
    assert f"gate FAILED: {told}" in result.stdout


@pytest.mark.parametrize("figure", ["recall", "precision"])
def test_a_gate_on_a_class_can_fail(digits_bundle: Path, document: dict[str, Any], figure: str) -> None:
    """The class that is worst at it is not perfect."""
    worst = min(document["metrics"]["per_class"], key=lambda item: item[figure])
    bound = f"{worst['class']}=1"
    arguments = ("--data", "digits", "--split", "all", f"--min-class-{figure}", bound)
    result = run_in_process("evaluate", digits_bundle, *arguments)
    assert result.returncode == 1
    assert f"{figure} of {worst['class']} is 0." in result.stderr


def test_a_gate_on_the_interval_is_stricter(digits_bundle: Path, document: dict[str, Any], tmp_path: Path) -> None:
    """A bound between the accuracy and the lower end of its interval passes the one and fails the other."""
    output = tmp_path / "result.json"
    arguments = ("evaluate", digits_bundle, "--data", "digits", "--split", "all", "--json", output)
    metrics = document["metrics"]
    bound = str((metrics["accuracy"] + metrics["accuracy_interval_95"][0]) / 2)
    assert run_in_process(*arguments, "--min-accuracy", bound).returncode == 0
    assert run_in_process(*arguments, "--min-accuracy", bound, "--judge", "interval").returncode == 1
    judged = json.loads(output.read_text())["gates"][0]
    assert (judged["value"], judged["passed"]) == (metrics["accuracy_interval_95"][0], False)


def test_several_gates_are_all_named(digits_bundle: Path) -> None:
    """One run tells everything that is missing."""
    result = run_in_process("evaluate", digits_bundle, "--data", "digits", "--min-accuracy", "1", "--max-brier", "0")
    assert "accuracy is 0." in result.stderr
    assert "Brier score is 0." in result.stderr


def test_the_calibration_error_has_no_interval_to_be_judged_by(digits_bundle: Path) -> None:
    """Bad usage rather than a gate that can't fail."""
    arguments = ("--data", "digits", "--max-calibration-error", "0.1", "--judge", "interval")
    result = run_in_process("evaluate", digits_bundle, *arguments)
    assert (result.returncode, "has no interval" in result.stderr) == (2, True)


def test_groups_add_up_to_the_whole(
    digits_bundle: Path, outputs: tuple[Path, str], document: dict[str, Any], tmp_path: Path
) -> None:
    """The ids of the predictions file name the samples; every sample is in one group of each column."""
    rows = list(csv.DictReader((outputs[0] / "predictions.csv").open(newline="")))
    groups, output = tmp_path / "groups.csv", tmp_path / "result.json"
    lines = ["id,parity", *(f"{row['id']},{'even' if int(row['true']) % 2 == 0 else 'odd'}" for row in rows)]
    groups.write_text("\n".join(lines) + "\n")
    arguments = ("--data", "digits", "--split", "all", "--slice", groups, "--json", output)
    result = run_in_process("evaluate", digits_bundle, *arguments)
    assert result.returncode == 0, result.stderr
    slices = json.loads(output.read_text())["slices"]
    assert {item["value"] for item in slices} == {"even", "odd"}
    correct = sum(round(item["accuracy"] * item["samples"]) for item in slices)
    assert correct == document["metrics"]["correct"]
    assert "parity: even" in result.stdout
