"""`torchstone export`: from a real run to a bundle, on the command line."""

import hashlib
import json
import os
import shutil
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from helpers.support import Mount, assert_refused, run_torchstone, started_torchstone
from torchstone_export.certificate.reference import run_module
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier, TrainedModel, load_trained
from torchstone_runtime.cli.main import main
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.run.run_dir import RunDirectory

BUNDLE_FILES = {
    *(
        "manifest.json",
        "model.onnx",
        "model.torchscript.pt",
        "golden.npz",
        "validation.npz",
        "certificate.json",
        "README.md",
    ),
}


@pytest.fixture(scope="module")
def trained(digits_run: Path, digits_bundle: Path) -> TrainedModel:
    """The PyTorch model of the run, with the temperature that was fitted at the export."""
    manifest = json.loads((digits_bundle / "manifest.json").read_text())
    return load_trained(RunDirectory.open(digits_run)).with_temperature(manifest["temperature"])


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a directory."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_bundle_holds_the_files_of_the_format(digits_bundle: Path) -> None:
    """Nothing is missing and nothing else is there."""
    assert {path.name for path in digits_bundle.iterdir()} == BUNDLE_FILES


def test_the_onnx_file_decides_as_the_pytorch_model_on_every_test_image(
    digits_bundle: Path, trained: TrainedModel
) -> None:
    """Checked here without any of the project's own verification code."""
    split = Dataset(DatasetRef("digits"), Path()).test()
    images = split.store.read(np.arange(len(split)))
    session = ort.InferenceSession(str(digits_bundle / "model.onnx"), providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(["logits", "probabilities"], {"images": images})
    expected_logits, expected_probabilities = run_module(trained.module, images)

    assert (logits.argmax(axis=1) == expected_logits.argmax(axis=1)).all()
    np.testing.assert_allclose(logits, expected_logits, atol=1e-4)
    np.testing.assert_allclose(probabilities, expected_probabilities, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit.load.*")
def test_the_torchscript_file_gives_what_the_model_gives(digits_bundle: Path, trained: TrainedModel) -> None:
    """At a batch size that it was not traced with."""
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), dtype=np.uint8)
    module = torch.jit.load(str(digits_bundle / "model.torchscript.pt"))  # type: ignore[no-untyped-call]
    logits, probabilities = module(torch.from_numpy(images))
    expected = run_module(trained.module, images)

    np.testing.assert_allclose(logits.numpy(), expected[0], atol=1e-5)
    np.testing.assert_allclose(probabilities.numpy(), expected[1], atol=1e-6)


def test_the_onnx_file_is_one_file_of_a_version_that_the_runtime_reads(digits_bundle: Path) -> None:
    """Opset 20, IR 10, no external data, and only the batch axis is dynamic."""
    model = onnx.load(digits_bundle / "model.onnx", load_external_data=False)
    (graph_input,) = model.graph.input
    dims = [dim.dim_param or dim.dim_value for dim in graph_input.type.tensor_type.shape.dim]

    assert [(item.domain, item.version) for item in model.opset_import] == [("", 20)]
    assert model.ir_version == 10
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    assert dims == ["batch", 1, 28, 28]


def test_without_torchscript_the_bundle_has_none(small_run: Path, tmp_path: Path) -> None:
    """--no-torchscript leaves the file and its entry out."""
    result = run_torchstone("export", small_run, "--out", tmp_path / "bundle", "--no-torchscript")
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())

    assert result.returncode == 0, result.stderr
    assert list(manifest["variants"]) == ["fp32"]
    assert not (tmp_path / "bundle" / "model.torchscript.pt").exists()


def test_the_certificate_covers_every_sample_of_validation_and_test(digits_bundle: Path, digits_run: Path) -> None:
    """For both variants, with the fingerprints of the run's own splits and all batch sizes."""
    certificate = json.loads((digits_bundle / "certificate.json").read_text())
    dataset = json.loads((digits_run / "run.json").read_text())["dataset"]

    assert certificate["passed"]
    for variant in ("fp32", "torchscript"):
        checked = certificate["variants"][variant]
        assert set(checked["batch_sizes"]) == {"1", "2", "7", "64"}
        for split in ("validation", "test"):
            assert checked["splits"][split]["samples"] == dataset[split]["samples"]
            assert checked["splits"][split]["fingerprint"] == dataset[split]["fingerprint"]
            assert checked["splits"][split]["flips"] == 0


def test_a_mismatch_ends_with_1_and_the_numbers_and_keeps_the_earlier_bundle(
    small_run: Path, bundle_copy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An exporter that loses precision is caught before anything is published."""
    before = digests(bundle_copy)

    def lossy(model: ExportableClassifier, name: str, class_names: tuple[str, ...], spec: InputSpec) -> bytes:
        return export_onnx(deepcopy(model).half().float(), name, class_names, spec)

    monkeypatch.setattr("torchstone_export.trained_files.export_onnx", lossy)
    with pytest.raises(SystemExit) as ended:
        main(["export", str(small_run), "--out", str(bundle_copy)])
    message = capfd.readouterr().err

    assert ended.value.code == 1
    assert "the largest logit error is" in message
    assert "times PyTorch's own" in message
    assert "The earlier bundle is as it was" in message
    assert digests(bundle_copy) == before
    assert [path.name for path in bundle_copy.parent.iterdir()] == ["bundle"]


def test_kill_9_in_the_middle_keeps_the_earlier_bundle(digits_run: Path, bundle_copy: Path) -> None:
    """The earlier bundle still verifies, and the next export succeeds and leaves nothing beside it."""
    command = ("export", digits_run, "--out", bundle_copy)
    with started_torchstone(*command, stderr=Path(os.devnull)) as (exporter, _):
        while not list(bundle_copy.parent.glob(".bundle.partial-*/model.onnx")):
            assert exporter.poll() is None, "the export ended before it could be killed"
            time.sleep(0.005)
        exporter.kill()

    assert len(list(bundle_copy.parent.iterdir())) == 2
    assert run_torchstone("verify", bundle_copy, "--data", "digits").returncode == 0
    assert run_torchstone(*command, "--certify-limit", "50", "--no-torchscript").returncode == 0
    assert [path.name for path in bundle_copy.parent.iterdir()] == ["bundle"]


def test_verify_with_the_run_repeats_the_certificate(digits_run: Path, digits_bundle: Path) -> None:
    """--run compares the bundle's files with the PyTorch model once more."""
    result = run_torchstone("verify", digits_bundle, "--run", digits_run)

    assert result.returncode == 0, result.stderr
    assert "all 646 decisions are PyTorch's" in result.stdout


def test_verify_with_another_run_fails(small_bundle: Path, few_digits: str, tmp_path: Path) -> None:
    """A run with other weights is not the one that the bundle was exported from: exit code 1."""
    train = run_torchstone("train", "cnn3", "--data", few_digits, "--epochs", "1", "--out", tmp_path / "run")
    result = run_torchstone("verify", small_bundle, "--run", tmp_path / "run")

    assert train.returncode == 0, train.stderr
    assert result.returncode == 1
    assert "does not do what the run's model does" in result.stderr


def test_verify_with_the_run_opens_only_what_the_manifest_lists(
    small_run: Path, small_bundle: Path, tmp_path: Path
) -> None:
    """A TorchScript file under another name is checked and used; an unlisted one in its place is never opened."""
    bundle = shutil.copytree(small_bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "model.torchscript.pt").rename(bundle / "other.pt")
    (bundle / "model.torchscript.pt").write_text("not an archive at all")
    manifest["variants"]["torchscript"]["file"] = "other.pt"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    result = run_torchstone("verify", bundle, "--run", small_run)

    assert result.returncode == 0, result.stderr


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    """The message says what is missing."""
    assert_refused(run_torchstone("export", tmp_path, "--out", tmp_path / "bundle"), "There is no run", "run.json")
    assert not (tmp_path / "bundle").exists()


def test_data_that_is_not_the_runs_is_refused(digits_run: Path, tmp_path: Path) -> None:
    """Verification on other data than the run's would prove nothing."""
    images = np.zeros((40, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "other.npz", images=images, labels=np.arange(40) % 10)
    result = run_torchstone(
        "export", digits_run, "--out", tmp_path / "bundle", "--dataset", f"npz:{tmp_path / 'other.npz'}"
    )

    assert_refused(result, "is not the one of the run")
    assert not (tmp_path / "bundle").exists()


def test_damaged_weights_are_refused(digits_run: Path, tmp_path: Path) -> None:
    """A truncated best.safetensors is named."""
    run = shutil.copytree(digits_run, tmp_path / "run")
    weights = (run / "best.safetensors").read_bytes()
    (run / "best.safetensors").write_bytes(weights[: len(weights) // 2])

    assert_refused(run_torchstone("export", run, "--out", tmp_path / "bundle"), "best.safetensors", "damaged")


def test_an_output_that_cannot_be_written_is_one_message(digits_run: Path, tmp_path: Path) -> None:
    """A parent that is a file."""
    (tmp_path / "file").write_text("")
    result = run_torchstone("export", digits_run, "--out", tmp_path / "file" / "bundle")

    assert_refused(result, "Cannot write")


def test_a_full_disk_is_one_message_and_leaves_nothing(small_run: Path, small_disk: Mount) -> None:
    """A real disk of a quarter of a MiB, too small for two model files."""
    disk = small_disk(1 << 18)
    result = run_torchstone("export", small_run, "--out", disk / "bundle")

    assert_refused(result, "No space left on device")
    assert list(disk.iterdir()) == []
