import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import run_torchstone, write_image_tree
from torchstone_runtime.classifier import Classifier
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation import evaluate


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
    result = run_torchstone("evaluate", digits_bundle, "--data", "digits", "--split", "all", *options)
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
    assert f"accuracy  {metrics['accuracy']:.4f}  ({metrics['correct']:,} of 1,797" in outputs[1]
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
    result = run_torchstone("evaluate", digits_bundle, *arguments)
    assert result.returncode == code
    assert ("below the required 1.0000" in result.stderr) == bool(code)
    assert "accuracy  0." in result.stdout
    assert 0 < json.loads(output.read_text())["metrics"]["accuracy"] < 1


def test_a_lone_model_is_measured(digits_bundle: Path) -> None:
    """Without a bundle the data is no part of a training as far as anyone knows."""
    result = run_torchstone("evaluate", digits_bundle / "model.onnx", "--data", "digits", "--json", "-")
    document = json.loads(result.stdout)
    assert document["data"]["split"] == "whole"
    assert document["model"]["sha256"] is None


def test_a_folder_is_measured_with_the_models_classes(digits_bundle: Path, tmp_path: Path) -> None:
    """Sub-folders are matched by name, pictures of another size and colour are converted."""
    write_image_tree(tmp_path, {"3": 2, "7": 1}, side=40, mode="RGB")
    result = run_torchstone("evaluate", digits_bundle, "--data", f"folder:{tmp_path}", "--json", "-")
    document = json.loads(result.stdout)
    assert [item["support"] for item in document["metrics"]["per_class"]] == [0, 0, 0, 2, 0, 0, 0, 1, 0, 0]


def test_an_npz_file_is_measured(digits_bundle: Path, digits: Split, tmp_path: Path) -> None:
    """Arrays on disk give what the same arrays give in memory."""
    np.savez(tmp_path / "d.npz", images=digits.store.read(np.arange(50))[:, 0], labels=digits.labels[:50])
    result = run_torchstone("evaluate", digits_bundle, "--data", f"npz:{tmp_path}/d.npz", "--json", "-")
    assert json.loads(result.stdout)["data"]["fingerprint"] == digits.select(np.arange(50), "x").fingerprint
