"""`import torchstone`: from data to served predictions in one process, quiet, with typed results."""

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import torchstone
from helpers.in_process import without_matplotlib
from torchstone_runtime.data.digits import load_digits

EPOCHS = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> torchstone.TrainingRun:
    """One training of the digits, for all tests here."""
    out = tmp_path_factory.mktemp("api") / "run"
    with without_matplotlib():
        return torchstone.train("cnn3", data="digits", out=out, epochs=EPOCHS, device="cpu")


@pytest.fixture(scope="module")
def bundle(run: torchstone.TrainingRun) -> torchstone.ExportedBundle:
    """Its bundle."""
    return torchstone.export(run, out=run.path.parent / "bundle")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder of three digits and a text."""
    digits = load_digits().store.read(np.arange(3))
    for index, pixels in enumerate(digits):
        Image.fromarray(pixels[0]).save(tmp_path / f"{index}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_importing_loads_neither_numpy_nor_pytorch() -> None:
    """A program that only asks for the version, or for help, starts at once."""
    program = (
        "import sys, torchstone; print(torchstone.__version__, [m for m in ('numpy', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.endswith(" []\n")


def test_the_public_names_are_these() -> None:
    """A new name is a decision: it is added here, in the API reference and in the changelog."""
    functions = [
        "audit_data",
        "evaluate",
        "export",
        "load",
        "pack_bundle",
        "score_arrow",
        "spark_schema",
        "train",
        "verify",
    ]
    results = [
        "AuditResult",
        "CrossValidation",
        "EvaluationResult",
        "ExportedBundle",
        "Prediction",
        "Predictions",
        "TrainingRun",
        "Verification",
    ]
    parts = ["Classifier", "InputSpec", "Metrics", "Scorer"]
    errors = ["BundleError", "CheckFailedError", "DataError", "ImageError", "MissingComponentError", "NoAnswerError"]
    errors += ["OutputError", "ProviderError", "RemoteError", "TorchstoneError", "UsageError"]
    assert sorted(torchstone.__all__) == sorted([*functions, *results, *parts, *errors, "__version__"])
    assert all(hasattr(torchstone, name) for name in torchstone.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """As of any module; what is imported inside is not public."""
    with pytest.raises(AttributeError, match="no attribute 'training_'"):
        torchstone.training_  # noqa: B018 - the attribute is the test


def test_a_training_tells_its_history_and_the_figures_of_the_kept_epoch(run: torchstone.TrainingRun) -> None:
    """From the files that it wrote."""
    assert [epoch["epoch"] for epoch in run.history] == [1, 2]
    assert run.metrics == run.history[run.best_epoch - 1]["validation"]
    assert run.recipe == "cnn3"
    assert run.class_names == tuple("0123456789")
    assert repr(run).endswith(f"'cnn3', 2 epochs, validation accuracy {run.metrics['accuracy']:.4f})")
    assert torchstone.TrainingRun.open(run.path) == run


def test_a_training_is_quiet_unless_asked(few_digits: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing on stdout or stderr, with pictures; a function gets the lines that a terminal would show."""
    torchstone.train("mlp", data=few_digits, out=tmp_path / "quiet", epochs=1, device="cpu")
    assert capfd.readouterr() == ("", "")
    lines: list[str] = []
    with without_matplotlib():
        torchstone.train("mlp", data=few_digits, out=tmp_path / "told", epochs=1, device="cpu", progress=lines.append)
    assert capfd.readouterr() == ("", "")
    assert any(line.startswith("epoch 1/1") for line in lines)


def test_a_field_that_a_recipe_does_not_have_is_named_with_the_nearest(tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(torchstone.UsageError, match="no field 'epoch'") as caught:
        torchstone.train("cnn3", data="digits", out=tmp_path / "run", epoch=3)
    assert caught.value.remedy == "Did you mean 'epochs'?"
    assert not (tmp_path / "run").exists()


def test_without_out_the_next_free_directory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbered by recipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mlp-1").mkdir(parents=True)
    with without_matplotlib():
        found = torchstone.train("mlp", data="digits", epochs=1, device="cpu")
    assert found.path == Path("runs/mlp-2")


def test_an_export_has_its_certificate(bundle: torchstone.ExportedBundle) -> None:
    """And says which files it made."""
    assert bundle.certificate["passed"] is True
    assert bundle.variants == ("fp32", "torchscript")
    assert any("decisions are PyTorch's" in line for line in bundle.summary)
    assert json.loads(json.dumps(bundle.to_dict()))["class_names"] == list("0123456789")


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"threshold": 0.9}, "threshold and mirror belong to a cascade"),
        ({"mirror": True}, "with fast"),
        ({"default_variant": "int8"}, "Add int8"),
        ({"require_variants": True}, "that require_variants would be for"),
        ({"certify_data": "digits", "min_speedup": 2.0}, "that min_speedup, certify_data would be for"),
        ({"int8": True, "provider": "gpu"}, "Give cpu or cuda"),
        ({"int8": True, "max_accuracy_drop": 0.0}, "max_accuracy_drop is 0.0"),
        ({"int8": True, "min_speedup": float("nan")}, "min_speedup is nan"),
        ({"int8": True, "int8_minutes": -1}, "Give a time above 0"),
    ],
)
def test_options_of_an_export_that_do_not_fit_are_refused(
    run: torchstone.TrainingRun, tmp_path: Path, options: dict[str, Any], fragment: str
) -> None:
    """As on the command line: nothing is left out in silence."""
    with pytest.raises(torchstone.UsageError) as refused:
        torchstone.export(run, out=tmp_path / "bundle", **options)

    assert fragment in str(refused.value)
    assert not (tmp_path / "bundle").exists()


def test_an_evaluation_has_figures_by_name(bundle: torchstone.ExportedBundle) -> None:
    """The same as the command line's document."""
    result = torchstone.evaluate(bundle, data="digits")
    document = result.to_dict()["metrics"]
    assert result.accuracy == document["accuracy"] == float(np.mean(result.predicted == result.labels))
    assert result.confusion_matrix.sum() == len(result.ids)
    assert result.by_class["7"]["support"] == int((result.labels == 7).sum())


def test_an_evaluation_as_json_data_is_strict(digits_bundle: Path) -> None:
    """A class that does not occur has no recall: None, and not NaN, which JSON has no sign for."""
    digits = load_digits()
    ones = np.flatnonzero(digits.labels == 1)[:5]
    found = torchstone.evaluate(digits_bundle, data=(digits.store.read(ones), digits.labels[ones])).to_dict()
    assert found == json.loads(json.dumps(found, allow_nan=False))
    assert found["metrics"]["per_class"][0]["recall"] is None


def test_an_evaluation_is_a_table_in_a_notebook_and_a_page(bundle: torchstone.ExportedBundle, tmp_path: Path) -> None:
    """The page is that of `evaluate --report`."""
    result = torchstone.evaluate(bundle, data="digits")
    assert "<td>7</td>" in result._repr_html_()
    result.save_report(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_arrays_with_labels_are_evaluated(bundle: torchstone.ExportedBundle) -> None:
    """Labels as indices or names; the classifier alone gives the same metrics."""
    digits = load_digits()
    images, labels = digits.store.read(np.arange(50)), digits.labels[:50]
    names = [digits.class_names[label] for label in labels]
    with torchstone.load(bundle) as classifier:
        by_index = torchstone.evaluate(classifier, data=(images, labels))
        by_name = torchstone.evaluate(classifier, data=(images, names))
        alone = classifier.evaluate(images, names)
    assert by_index.accuracy == by_name.accuracy == alone.accuracy
    assert (by_index.confusion_matrix == alone.confusion).all()


@pytest.mark.parametrize("labels", [["7", "eight"], [0, 10], [-1, 0], [0.5, 1.0], [1]])
def test_labels_that_are_no_classes_are_refused(bundle: torchstone.ExportedBundle, labels: list[int]) -> None:
    """By name, by number, and in number."""
    images = load_digits().store.read(np.arange(2))
    with torchstone.load(bundle) as classifier, pytest.raises(torchstone.UsageError):
        classifier.evaluate(images, labels)


def test_a_folder_is_classified_picture_by_picture(bundle: torchstone.ExportedBundle, inbox: Path) -> None:
    """In the order of the names, with paths; what is not a picture is left out."""
    with torchstone.load(bundle) as classifier:
        found = list(classifier.predict_folder(inbox, batch_size=2))
        at_once = classifier.predict(inbox)
    assert [item.path for item in found] == [str(inbox / f"{index}.png") for index in range(3)]
    assert [item.label for item in found] == at_once.labels
    assert found[0].top(2)[0] == (found[0].label, found[0].probability)
    assert at_once.paths == tuple(item.path for item in found)


def test_channels_may_come_last(bundle: torchstone.ExportedBundle) -> None:
    """When told so; the answers are the same."""
    images = load_digits().store.read(np.arange(8))
    with torchstone.load(bundle) as classifier:
        first, last = classifier.predict(images), classifier.predict(np.moveaxis(images, 1, -1), layout="NHWC")
    assert (first.logits == last.logits).all()


def test_predictions_are_a_sequence(bundle: torchstone.ExportedBundle) -> None:
    """Indexed, sliced and iterated, each with its own classes."""
    images = load_digits().store.read(np.arange(8))
    with torchstone.load(bundle) as classifier:
        predictions = classifier.predict(images)
    assert [item.label for item in predictions] == predictions.labels
    assert predictions[2:4].labels == predictions.labels[2:4]
    assert predictions[-1].label == predictions.labels[-1]
    assert [item.top(3) for item in predictions] == predictions.top(3)


def test_verify_returns_what_was_checked(bundle: torchstone.ExportedBundle) -> None:
    """With the data, every decision."""
    found = torchstone.verify(bundle, data="digits")
    assert any("golden samples decide as at export" in line for line in found.checks)
    assert any("test decisions are those of the certificate" in line for line in found.checks)


def test_verify_raises_where_a_file_was_altered(bundle: torchstone.ExportedBundle, tmp_path: Path) -> None:
    """One bit is enough."""
    copy = shutil.copytree(bundle.path, tmp_path / "copy")
    content = bytearray((copy / "model.onnx").read_bytes())
    content[1000] ^= 1
    (copy / "model.onnx").write_bytes(content)
    with pytest.raises(torchstone.BundleError, match="not the file that was exported"):
        torchstone.verify(copy)


def test_pandas_is_asked_for_by_name_where_it_is_missing(
    run: torchstone.TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no dependency."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(torchstone.MissingComponentError, match="pandas is not installed"):
        run.to_pandas()


def test_the_files_of_a_bundle_are_a_table_for_pandas(
    bundle: torchstone.ExportedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row per variant, with what the manifest says of its file."""
    monkeypatch.setitem(
        sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows, index: dict(zip(index, rows, strict=True)))
    )
    row = bundle.to_pandas()["fp32"]
    content = (bundle.path / row["file"]).read_bytes()
    assert (row["bytes"], row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_checks_of_a_bundle_are_a_table_for_pandas(
    bundle: torchstone.ExportedBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row per check, in their order."""
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda columns, **_: columns))
    found = torchstone.verify(bundle)
    assert found.to_pandas() == {"check": list(found.checks)}
    assert len(found.checks) > 1


def test_the_pictures_of_an_audit_are_a_table_for_pandas(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the fix list, with the same columns."""
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda columns, **_: columns))
    photos = inbox / "photos"
    for name in ("a", "b"):
        (photos / name).mkdir(parents=True)
        shutil.copy(inbox / "0.png", photos / name)
    (photos / "a" / "torn.png").write_bytes(b"no picture")
    found = torchstone.audit_data(f"folder:{photos}")
    found.save_fix_list(inbox / "fix.csv")
    columns = found.to_pandas()
    with (inbox / "fix.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)] == rows
    assert set(columns["kind"]) == {"unreadable", "label_conflict"}


def test_without_out_a_bundle_goes_where_the_command_puts_it(
    run: torchstone.TrainingRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`runs/cnn3-4` becomes `bundles/cnn3-1`, the first number that is free."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run.path, tmp_path / "runs" / "cnn3-4")
    assert torchstone.export("runs/cnn3-4", torchscript=False).path == Path("bundles/cnn3-1")
