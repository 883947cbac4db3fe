"""`torchstone export --fast`: two trained models in one file, which answers as both together would."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.in_process import export_with_a_short_stopwatch
from helpers.support import assert_refused, run_torchstone
from torchstone_export.cascade import cascade_file
from torchstone_export.cascade.build import cascade_of
from torchstone_export.cascade.confidence_cascade import Routing, choose_threshold
from torchstone_export.certificate.reference import run_module
from torchstone_export.model import ExportableClassifier, TrainedModel, load_trained
from torchstone_export.trained_files import build_files
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.image_classifier import build_classifier
from torchstone_train.run.run_dir import RunDirectory

MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="module")
def fast_run(make_once: MakeOnce) -> Path:
    """A small network that was trained for an epoch on the digits of `digits_run`."""

    def train(folder: Path) -> None:
        arguments = ("train", "sprint-mnist", "--dataset", "digits", "--val-fraction", "0.2", "--out", folder / "run")
        result = run_torchstone(*arguments, pictures=False)
        assert result.returncode == 0, result.stderr

    return make_once("digits-fast", train) / "run"


@pytest.fixture(scope="module")
def bundle(digits_run: Path, fast_run: Path, make_once: MakeOnce) -> Path:
    """A cascade of both, with an int8 variant whatever that gives, of the first way tried; `told.txt` beside it."""

    def export(folder: Path) -> None:
        options = ("--threshold", "0.8", "--mirror", "--int8", "--max-accuracy-drop", "0.2", "--min-speedup", "0.01")
        arguments = ("--fast", fast_run, *options, "--int8-minutes", "0.0001", "--out", folder / "bundle")
        result = export_with_a_short_stopwatch(digits_run, *arguments)
        assert result.returncode == 0, result.stderr
        (folder / "told.txt").write_text(result.stdout)

    return make_once("digits-cascade", export) / "bundle"


@pytest.fixture(scope="module")
def parts(digits_run: Path, fast_run: Path) -> tuple[TrainedModel, TrainedModel]:
    """The fast and the accurate model."""
    return load_trained(RunDirectory.open(fast_run)), load_trained(RunDirectory.open(digits_run))


@pytest.fixture(scope="module")
def images() -> Uint8Array:
    """The test digits, uint8 (N, 1, 28, 28)."""
    split = Dataset(DatasetRef("digits"), Path()).test()
    return np.ascontiguousarray(split.store.read(np.arange(len(split))))


@pytest.fixture(scope="module")
def files(bundle: Path) -> tuple[bytes, bytes]:
    """ONNX files of the two models."""
    parted = cascade_file.split((bundle / "model.onnx").read_bytes())
    assert parted is not None
    return parted


def answers(file: bytes, images: Uint8Array) -> Any:  # noqa: ANN401 - NumPy's
    """Return the logits of an ONNX file."""
    return ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(["logits"], {"images": images})[0]


def test_the_sure_are_answered_by_the_fast_model_and_the_rest_by_the_accurate_one(
    bundle: Path, parts: tuple[TrainedModel, TrainedModel], images: Uint8Array
) -> None:
    """Both from the models themselves; the accurate one's are means over an image and its mirror image."""
    fast, accurate = (run_module(model.module, images)[0] for model in parts)
    mirrored = run_module(parts[1].module, images[..., ::-1])[0]
    confidence = torch.from_numpy(fast).softmax(1).amax(1).numpy()
    sure, unsure = confidence >= 0.8, confidence < 0.8 - 0.05
    found = answers((bundle / "model.onnx").read_bytes(), images)

    assert min(sure.sum(), unsure.sum()) > 20
    np.testing.assert_allclose(found[sure], fast[sure], atol=1e-4)
    np.testing.assert_allclose(found[unsure], (accurate + mirrored)[unsure] / 2, atol=1e-4)


def test_a_cascade_of_backbones_on_gray_pictures_answers_as_its_accurate_model(images: Uint8Array) -> None:
    """In PyTorch and in the file; both repeat the gray channel for their networks of colours."""
    spec = InputSpec(color="L", height=28, width=28, mean=(0.3,), std=(0.4,))
    fast, accurate = (
        TrainedModel("backbone", spec, tuple("0123456789"), ExportableClassifier(network).eval(), "digits", {})
        for network in (build_classifier("helpers.small_backbone:build", spec, 10, "classifier") for _ in range(2))
    )
    cascade = cascade_of(fast, accurate, Routing(threshold=1.0))
    expected = run_module(accurate.module, images[:8])[0]
    file = build_files(cascade, torchscript=False)["fp32"]

    np.testing.assert_allclose(run_module(cascade.module, images[:8])[0], expected, atol=1e-5)
    np.testing.assert_allclose(answers(file, images[:8]), expected, atol=1e-4)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.8, 1.0])
@pytest.mark.parametrize("batch", [1, 50])
def test_a_batch_of_which_none_or_all_are_unsure_is_answered(
    parts: tuple[TrainedModel, TrainedModel],
    files: tuple[bytes, bytes],
    images: Uint8Array,
    *,
    threshold: float,
    mirror: bool,
    batch: int,
) -> None:
    """The accurate model is then given no image, or every one. In the passage errors are 1 / 0.05 times as large."""
    routing = Routing(threshold=threshold, mirror=mirror)
    expected = run_module(cascade_of(*parts, routing).module, images[:batch])[0]
    found = answers(cascade_file.join(*files, routing, 1.0, "{}"), images[:batch])

    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_at_a_threshold_of_0_the_fast_model_answers_everything(
    parts: tuple[TrainedModel, TrainedModel], images: Uint8Array
) -> None:
    """As if the other one weren't there."""
    model = cascade_of(*parts, Routing(threshold=0.0))

    np.testing.assert_array_equal(run_module(model.module, images)[0], run_module(parts[0].module, images)[0])


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.01))
def test_the_share_of_the_accurate_model_grows_without_a_jump(threshold: float, confidence: float, less: float) -> None:
    """From 0 at the threshold to 1; a confidence that is a little lower changes it by as little."""
    routing = Routing(threshold=threshold)
    here, below = routing.share(torch.tensor([confidence, confidence - less], dtype=torch.float64)).tolist()

    assert 0 <= here <= below <= 1
    assert below - here <= less / routing.blend + 1e-9
    assert here == 0 or confidence < threshold


def test_the_threshold_is_the_lowest_that_is_right_as_often_as_the_accurate_model() -> None:
    """The fast model is right where it is at least 0.7 sure; asking about more gains nothing."""
    confidence = np.linspace(0.55, 0.95, 41)
    right = confidence >= 0.7
    margin = np.log(confidence / (1 - confidence))
    fast = np.stack([np.where(right, margin, -margin), np.zeros(41)], axis=1).astype(np.float32)
    accurate = np.tile(np.array([[9.0, 0.0]], np.float32), (41, 1))
    routing = choose_threshold(fast, accurate, np.zeros(41, np.int64), mirror=False)

    assert 0.69 < routing.threshold <= 0.76


@pytest.mark.parametrize(
    ("wrong", "mirror", "asked"), [(4, False, False), (5, False, True), (0, True, False), (1, True, True)]
)
def test_the_threshold_may_cost_two_images_in_a_thousand(wrong: int, *, mirror: bool, asked: bool) -> None:
    """Of 2,000, four that only the accurate model knows aren't worth the question; five are, or one with a mirror."""
    fast = np.zeros((2000, 2), np.float32)
    fast[:, 0] = 9
    fast[:wrong] = [0, 1]
    accurate = np.tile(np.array([[9.0, 0.0]], np.float32), (2000, 1))
    routing = choose_threshold(fast, accurate, np.zeros(2000, np.int64), mirror=mirror)

    assert bool(routing.share(torch.from_numpy(fast[0]).softmax(0).amax()) > 0.1) == asked


def test_where_no_threshold_reaches_the_accurate_model_no_more_is_asked_than_helps() -> None:
    """The fast model is wrong about one image with all its confidence, so that one is lost at every threshold."""
    fast = np.tile(np.array([[2.0, 0.0]], np.float32), (100, 1))
    fast[0], fast[1] = [0, 1], [0, 99]
    accurate = np.tile(np.array([[9.0, 0.0]], np.float32), (100, 1))
    routing = choose_threshold(fast, accurate, np.zeros(100, np.int64), mirror=True)

    assert 0.731 < routing.threshold <= 0.881  # of the image to be asked about, and of those known


def test_the_bundle_tells_who_answers_what(bundle: Path) -> None:
    """Manifest, model card and `inspect`: both models, the threshold, and the share that was passed on."""
    cascade = json.loads((bundle / "manifest.json").read_text())["provenance"]["cascade"]
    line = "sprint-mnist answers alone from a confidence of 0.8; cnn3 is shown the rest upright and mirrored"

    assert cascade["routing"] == {"threshold": 0.8, "blend": 0.05, "mirror": True}
    assert cascade["fast"]["recipe"]["name"] == "sprint-mnist"
    assert 0 < cascade["asked"]["test"] < 1
    assert line in (bundle / "README.md").read_text()
    assert f"{line} ({cascade['asked']['test']:.1%} of the test images)" in run_torchstone("inspect", bundle).stdout


def test_both_models_are_quantised(bundle: Path) -> None:
    """Each has integer convolutions in the int8 file, and the certificate says how each was chosen."""
    file = onnx.load(bundle / "model.int8.onnx")
    report = json.loads((bundle / "certificate.json").read_text())["lossy"]["int8"]
    quantised = [node.name for node in file.graph.node if node.op_type in ("QuantizeLinear", "QLinearConv")]

    assert report["accepted"]
    assert all(any(name.startswith(part) for name in quantised) for part in ("fast/", "accurate/"))
    assert report["fast"]["candidates"]
    assert report["accurate"]["layers"]


def test_the_summary_says_what_the_search_of_each_model_left_out(bundle: Path) -> None:
    """As for a plain model."""
    told = (bundle.parent / "told.txt").read_text()

    for name in ("fast", "accurate"):
        assert re.search(rf"; {name} model: \d+ ways to quantise not tried within 0.0001 minutes", told)


def test_a_cascade_taken_apart_and_joined_again_is_the_same_file(bundle: Path, images: Uint8Array) -> None:
    """And its parts are files of their own that give logits."""
    content = (bundle / "model.onnx").read_bytes()
    parted = cascade_file.split(content)

    assert parted is not None
    assert cascade_file.rejoin(content, *parted) == content
    assert [answers(part, images[:3]).shape for part in parted] == [(3, 10), (3, 10)]


def test_another_file_is_no_cascade(digits_bundle: Path) -> None:
    """Nothing to take apart."""
    assert cascade_file.split((digits_bundle / "model.onnx").read_bytes()) is None


def test_the_same_runs_give_the_same_bytes(bundle: Path, digits_run: Path, fast_run: Path, tmp_path: Path) -> None:
    """Of the files that are proven; int8 depends on timings."""
    options = ("--threshold", "0.8", "--mirror", "--out", tmp_path / "again")
    again = run_torchstone("export", digits_run, "--fast", fast_run, *options)

    assert again.returncode == 0, again.stderr
    for name in ("model.onnx", "model.torchscript.pt"):
        first, second = (
            hashlib.sha256((folder / name).read_bytes()).hexdigest() for folder in (bundle, tmp_path / "again")
        )
        assert first == second


def test_verify_repeats_the_certificate_with_both_runs(bundle: Path, digits_run: Path, fast_run: Path) -> None:
    """And says so."""
    result = run_torchstone("verify", bundle, "--run", digits_run, "--fast", fast_run)

    assert result.returncode == 0, result.stderr
    assert "decisions are PyTorch's (validation and test)" in result.stdout


def test_verify_finds_that_the_fast_model_is_another(bundle: Path, digits_run: Path) -> None:
    """The accurate run in its place."""
    result = run_torchstone("verify", bundle, "--run", digits_run, "--fast", digits_run)

    assert result.returncode == 1
    assert "does not do what the run's model does" in result.stderr


def test_verify_needs_both_runs_of_a_cascade(
    bundle: Path, digits_run: Path, digits_bundle: Path, fast_run: Path
) -> None:
    """And one of any other bundle."""
    lone = run_torchstone("verify", bundle, "--run", digits_run)
    other = run_torchstone("verify", digits_bundle, "--run", digits_run, "--fast", fast_run)

    assert (lone.returncode, other.returncode) == (2, 2)
    assert "is a cascade of two runs.\nName that of its fast model with --fast." in lone.stderr
    assert "is not a cascade.\nLeave --fast out." in other.stderr
    assert_refused(run_torchstone("verify", bundle, "--fast", fast_run), "one of a cascade's two runs", "--run")


def test_options_of_a_cascade_need_its_runs(digits_run: Path, fast_run: Path, tmp_path: Path) -> None:
    """Nothing is written."""
    out = ("--out", tmp_path / "bundle")
    for options in (("--mirror",), ("--threshold", "0.5")):
        assert_refused(run_torchstone("export", digits_run, *options, *out), "belong to a cascade", "--fast")
    assert_refused(run_torchstone("export", "--fast", fast_run, *out), "Nothing to export was named")
    assert not (tmp_path / "bundle").exists()


def test_models_that_held_out_other_images_make_no_cascade(digits_run: Path, tmp_path: Path) -> None:
    """One may have been trained on what the other is judged by."""
    arguments = ("train", "mlp", "--dataset", "digits", "--epochs", "1", "--seed", "1", "--out", tmp_path / "run")
    trained = run_torchstone(*arguments, pictures=False)
    assert trained.returncode == 0, trained.stderr
    result = run_torchstone("export", digits_run, "--fast", tmp_path / "run", "--out", tmp_path / "bundle")

    assert_refused(result, "other validation images", "--seed")
    assert not (tmp_path / "bundle").exists()
