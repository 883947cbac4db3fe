"""Learning from a better model's answers: what is learnt, which teachers are refused, and what a run says of them."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from helpers.support import assert_refused, run_torchstone, write_image_tree
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_train.compute.precision import choose_precision
from torchstone_train.data.training_data import load_training_data
from torchstone_train.recipes.catalog import CNN3
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.training.distill import Teacher, check_teacher, distillation_loss
from torchstone_train.training.optimization import Optimization

CPU = torch.device("cpu")
LOGITS = st.lists(st.floats(-8, 8, width=32), min_size=6, max_size=6)


@pytest.fixture(scope="module")
def teacher_bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `tiny_run`."""
    bundle = tmp_path_factory.mktemp("teacher") / "bundle"
    exported = run_torchstone("export", tiny_run, "--out", bundle, "--no-torchscript")
    assert exported.returncode == 0, exported.stderr
    return bundle


@pytest.fixture(scope="module")
def learn(tiny_npz: Path) -> Callable[..., None]:
    """Train a small recipe on `tiny_npz` by the command line."""

    def run(*options: str | Path) -> None:
        arguments = ("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--epochs", "1", *options)
        result = run_torchstone(*arguments, pictures=False)
        assert result.returncode == 0, result.stderr

    return run


@given(own=LOGITS, theirs=LOGITS, temperature=st.floats(0.5, 8))
def test_the_loss_is_the_divergence_of_the_softened_answers(
    own: list[float], theirs: list[float], temperature: float
) -> None:
    """Against the definition, written out in float64: mean over the batch of sum p log(p / q), times T squared."""
    pair = [torch.tensor(values).reshape(2, 3) for values in (theirs, own)]
    p, q = (torch.softmax(values.double() / temperature, dim=1) for values in pair)
    expected = (p * (p / q).log()).sum(dim=1).mean().item() * temperature**2

    found = distillation_loss(pair[1], pair[0], temperature).item()

    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4 * temperature**2)


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 1.0), (1.0, 0.0), (0.25, 0.75)])
def test_the_weight_divides_the_loss_between_teacher_and_labels(weight: float, expected: float) -> None:
    """With a teacher that says what the model says, only the labels' share is left."""
    recipe = Recipe(name="", summary="", architecture="", optimizer="sgd", lr=1e-9, distill_weight=weight)
    model = nn.Linear(4, 3)
    images, labels = torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1])
    taught = model(images).detach()
    plain = nn.functional.cross_entropy(taught, labels).item()
    optimization = Optimization(recipe, model, choose_precision("off", CPU), 1)

    assert optimization.step(images, labels, taught)[1].item() == pytest.approx(expected * plain, abs=1e-6)


def test_a_teacher_answers_as_its_bundle_does(teacher_bundle: Path, tiny_npz: Path) -> None:
    """Its softmax gives the bundle's probabilities, temperature and all; two of a kind say what one says."""
    data = load_training_data(DatasetRef.parse(f"npz:{tiny_npz}"), Path(), CNN3, 0)
    images = data.train.store.read(np.arange(5))
    with Classifier.load(teacher_bundle) as classifier:
        expected = classifier.predict(images).probabilities
    for paths in ((teacher_bundle,), (teacher_bundle, teacher_bundle)):
        with Teacher.open(paths, data, CPU, 1) as teacher:
            answers = teacher(torch.from_numpy(images)).softmax(dim=1).numpy()
        np.testing.assert_allclose(answers, expected, atol=1e-6)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="there the teacher runs on the GPU"
)
def test_a_training_on_a_gpu_takes_a_teacher_without_the_runtime_for_gpus(teacher_bundle: Path, tiny_npz: Path) -> None:
    """`torchstone[all]` brings PyTorch with CUDA and ONNX Runtime without: the teacher answers on the CPU."""
    data = load_training_data(DatasetRef.parse(f"npz:{tiny_npz}"), Path(), CNN3, 0)

    with Teacher.open((teacher_bundle,), data, torch.device("cuda"), 1) as teacher:
        assert teacher.to_json()[0]["variant"] == "fp32"


def test_the_teacher_changes_what_is_learnt(teacher_bundle: Path, learn: Callable[..., None], tmp_path: Path) -> None:
    """The same seed with and without: other weights, and the run names the teacher by the file's hash."""
    learn("--out", tmp_path / "alone")
    learn("--out", tmp_path / "taught", "--teacher", teacher_bundle)
    alone, taught = ((tmp_path / name / "best.safetensors").read_bytes() for name in ("alone", "taught"))
    manifest = json.loads((teacher_bundle / "manifest.json").read_text())
    said = json.loads((tmp_path / "taught" / "run.json").read_text())["teachers"]

    assert alone != taught
    assert said == [{"name": "cnn3", "seed": 0, "variant": "fp32", "sha256": manifest["variants"]["fp32"]["sha256"]}]


def test_a_bundle_says_whom_its_model_learnt_from(
    teacher_bundle: Path, learn: Callable[..., None], tmp_path: Path
) -> None:
    """Its provenance holds the run's `teachers`; that of a model without one has no such key."""
    learn("--out", tmp_path / "run", "--teacher", teacher_bundle)
    run_torchstone("export", tmp_path / "run", "--out", tmp_path / "bundle", "--no-torchscript")
    taught, alone = (
        json.loads((bundle / "manifest.json").read_text())["provenance"]
        for bundle in (tmp_path / "bundle", teacher_bundle)
    )

    assert taught["teachers"] == json.loads((tmp_path / "run" / "run.json").read_text())["teachers"]
    assert "teachers" not in alone


def test_training_without_a_teacher_needs_no_onnx_runtime() -> None:
    """`torchstone[train]` doesn't bring it."""
    program = "import sys; sys.modules['onnxruntime'] = None; import torchstone_train.run_training"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_teacher_that_saw_the_validation_images_is_refused(
    teacher_bundle: Path, tiny_npz: Path, tmp_path: Path
) -> None:
    """Another seed holds out other images: the figures by which an epoch is chosen would be too good."""
    out = tmp_path / "run"
    arguments = ("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", out, "--teacher", teacher_bundle)

    assert_refused(run_torchstone(*arguments, "--seed", "1"), "trained on images that this training is validated on")
    assert not out.exists()


def test_a_teacher_of_a_fold_is_refused(teacher_bundle: Path, tiny_npz: Path, tmp_path: Path) -> None:
    """Its fingerprints are those of other splits, so that nothing tells which images it has learnt from."""
    ref = DatasetRef("npz", tiny_npz)
    data = load_training_data(ref, tmp_path, CNN3, 0)
    manifest = Bundle.open(teacher_bundle).manifest
    dataset = {**manifest.provenance["dataset"], "fold": {"number": 1, "of": 5}}
    of_a_fold = replace(manifest, provenance={**manifest.provenance, "dataset": dataset})

    check_teacher("bundle", manifest, data)
    with pytest.raises(UsageError, match="trained on a fold of a cross-validation"):
        check_teacher("bundle", of_a_fold, data)


def test_a_teacher_for_other_images_is_refused(teacher_bundle: Path, tmp_path: Path) -> None:
    """Digits are ten classes, the teacher's three."""
    arguments = ("train", "cnn3", "--dataset", "digits", "--out", tmp_path / "run", "--teacher", teacher_bundle)

    assert_refused(run_torchstone(*arguments), "tells other classes apart")


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({"fit": "crop", "resize": 20}, "--fit crop --resize 20"),
        ({"fit": "pad", "fill": 9, "antialias": False}, "--fit pad --fill 9 --no-antialias"),
        (
            {"resample": "bicubic", "decode": "reduced", "bits": 12},
            "--resize-filter bicubic --decode reduced --bits 12",
        ),
    ],
)
def test_a_teacher_of_pictures_that_are_read_otherwise_is_refused(
    teacher_bundle: Path, tmp_path: Path, change: dict[str, Any], options: str
) -> None:
    """It would not be known whether it has learnt from the validation images; the message says how to read them."""
    root = write_image_tree(tmp_path, {"train/a": 8, "train/b": 8, "test/a": 2, "test/b": 2}, side=16, mode="RGB")
    data = load_training_data(DatasetRef.parse(f"folder:{root}"), Path(), CNN3, 0)
    same = replace(Bundle.open(teacher_bundle).manifest, class_names=("a", "b"), input_spec=data.spec)
    check_teacher("bundle", replace(same, input_spec=replace(data.spec, mean=(0.1,) * 3)), data)
    with pytest.raises(UsageError) as caught:
        check_teacher("bundle", replace(same, input_spec=replace(data.spec, **change)), data)
    assert caught.value.remedy.endswith(f": {options}")


def test_resuming_asks_for_the_same_teacher(
    teacher_bundle: Path, learn: Callable[..., None], tiny_npz: Path, tmp_path: Path
) -> None:
    """Without it the rest of the training would be another one."""
    out = tmp_path / "run"
    learn("--out", out, "--teacher", teacher_bundle)
    arguments = ("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--epochs", "2", "--out", out, "--resume")

    assert_refused(run_torchstone(*arguments), "other settings: teachers")
    resumed = run_torchstone(*arguments, "--teacher", teacher_bundle, pictures=False)
    assert resumed.returncode == 0
    assert re.search(r"teacher  cnn3 \(fp32, seed 0\)", resumed.stderr)
