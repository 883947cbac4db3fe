"""`torchstone export --int8 --fp16`: shipped where it pays, left out with the reason where it doesn't."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from helpers.in_process import export_with_a_short_stopwatch
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.system.cpu import INT8_FEATURES, cpu_features


@pytest.fixture(scope="module")
def int8_bundle(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits run with an int8 variant; the limits are so wide that 359 test images and a busy machine do."""
    bundle = tmp_path_factory.mktemp("int8") / "bundle"
    limits = ("--max-accuracy-drop", "0.05", "--min-speedup", "0.2")
    options = ("--int8", "--require-variants", "--default-variant", "int8", "--no-torchscript")
    result = export_with_a_short_stopwatch(digits_run, "--out", bundle, *options, *limits)
    assert result.returncode == 0, result.stderr
    assert "int8: accuracy" in result.stdout
    return bundle


@pytest.fixture(scope="module")
def lossy(int8_bundle: Path) -> dict[str, Any]:
    """The certificate's part on int8."""
    data = json.loads((int8_bundle / "certificate.json").read_text())
    return dict(data["lossy"]["int8"])


@pytest.mark.slow
def test_an_accepted_variant_is_in_the_bundle(int8_bundle: Path, lossy: dict[str, Any]) -> None:
    """Smaller, the default as asked for, with what it needs, and certified like the others."""
    manifest = Bundle.open(int8_bundle).manifest
    entry = manifest.variants["int8"]

    assert entry.size < 0.3 * manifest.variants["fp32"].size
    assert manifest.default_variant == "int8"
    has_dot_product = bool(cpu_features().intersection(INT8_FEATURES))
    assert entry.requires_any == (INT8_FEATURES if has_dot_product else ())
    assert lossy["accepted"]
    assert lossy["reasons"] == []


@pytest.mark.slow
def test_the_certificate_has_the_figures(lossy: dict[str, Any]) -> None:
    """The paired test, the changes, the speed with its noise, every candidate, and the layers' errors."""
    low, high = lossy["paired"]["interval_95"]
    assert -0.05 < low <= lossy["paired"]["difference"] <= high
    assert 0 < lossy["paired"]["mcnemar_p"] <= 1
    assert sum(change["count"] for change in lossy["changes"]) == 359 - lossy["paired"]["agreeing"]
    assert lossy["speed"]["rounds"] >= 31
    assert lossy["speed"]["interval_95"][0] <= lossy["speed"]["ratio"] <= lossy["speed"]["interval_95"][1]
    assert {item["config"]["calibration"][:6] for item in lossy["candidates"]} == {"minmax", "entrop", "percen"}
    assert [layer["quantized"] for layer in lossy["layers"]] == [True] * 5
    assert all(layer["sqnr_db"] > 20 for layer in lossy["layers"])


@pytest.mark.slow
def test_images_that_the_form_was_chosen_by_say_nothing_of_others(int8_bundle: Path) -> None:
    """The bound on unseen flips is that of the test part; of the float file, that of both parts."""
    variants = json.loads((int8_bundle / "certificate.json").read_text())["variants"]
    flips = variants["int8"]["splits"]["test"]["flips"]
    bound = variants["int8"]["unseen_flips"]

    assert (bound["images"], bound["flips"]) == (359, flips)
    assert variants["fp32"]["unseen_flips"]["images"] == 287 + 359
    assert f"({flips} of 359 were not" in "".join(Bundle.open(int8_bundle).manifest.certificate["summary"])


@pytest.mark.slow
def test_the_other_commands_know_the_variant(int8_bundle: Path, digits_run: Path) -> None:
    """Verify with data and with the run, inspect, and evaluate, which takes it as the default."""
    verified = run_torchstone("verify", int8_bundle, "--data", "digits", "--run", digits_run)
    assert verified.returncode == 0, verified.stderr
    assert "int8         16 golden samples decide as at export" in verified.stdout
    assert "int8: all 359 test decisions are those of the certificate" in verified.stdout
    inspected = run_torchstone("inspect", int8_bundle)
    assert "model.int8.onnx" in inspected.stdout
    evaluated = run_torchstone("evaluate", int8_bundle, "--data", "digits")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "int8 on cpu" in evaluated.stdout + evaluated.stderr


@pytest.mark.slow
def test_a_processor_without_the_features_runs_fp32(int8_bundle: Path) -> None:
    """And gives fp32's answers."""
    images = GoldenSamples.from_bytes((int8_bundle / "golden.npz").read_bytes()).images
    with (
        Classifier.load(int8_bundle, provider="cpu", features=frozenset({"avx2"})) as fallen_back,
        Classifier.load(int8_bundle, variant="fp32", provider="cpu") as wanted,
    ):
        if Bundle.open(int8_bundle).manifest.variants["int8"].requires_any:
            assert "fp32 in place of int8" in fallen_back.plan.reason
            assert (fallen_back.predict(images).logits == wanted.predict(images).logits).all()


def _damage(bundle: Path, factor: float) -> None:
    """Scale the first layer's weights, with the hash brought up to date: right bytes, wrong arithmetic."""
    path = bundle / "model.int8.onnx"
    model = onnx.load(path)
    weights = next(item for item in model.graph.initializer if item.data_type == 3 and len(item.dims) == 4)
    values = numpy_helper.to_array(weights)
    most = factor * np.abs(values.astype(np.int64)).max()  # 127, or 64 where this processor takes weights of 7 bits
    weights.CopyFrom(numpy_helper.from_array(np.clip(values, -most, most).astype(np.int8), weights.name))
    onnx.save(model, path)
    data = json.loads((bundle / "manifest.json").read_text())
    content = path.read_bytes()
    data["variants"]["int8"] |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (bundle / "manifest.json").write_text(json.dumps(data))


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "caught"), [(1.0, False), (0.8, True), (0.5, True)])
def test_products_that_saturate_are_caught_by_the_golden_samples(
    int8_bundle: Path, tmp_path: Path, factor: float, caught: bool
) -> None:
    """Where large weights count for less than they should, as without exact dot products, the variant is refused."""
    bundle = shutil.copytree(int8_bundle, tmp_path / "bundle")
    _damage(bundle, factor)
    every = frozenset(INT8_FEATURES)
    if not caught:
        Classifier.load(bundle, variant="int8", provider="cpu", features=every).close()
        return
    with pytest.raises(CheckFailedError, match="golden"):
        Classifier.load(bundle, variant="int8", provider="cpu", features=every)


@pytest.mark.slow
def test_a_variant_that_does_not_pay_is_left_out_and_the_rest_published(digits_run: Path, tmp_path: Path) -> None:
    """359 test images can't show a drop below 0.3 points: exit code 0, the reason on stderr and in the certificate."""
    options = ("--fp16", "--default-variant", "fp16")
    result = export_with_a_short_stopwatch(digits_run, "--out", tmp_path / "b", *options)

    assert result.returncode == 0, result.stderr
    assert "Warning: fp16: not shipped" in result.stderr
    assert "359 test images can show no less than 1.1 points, even without one change" in result.stderr
    manifest = Bundle.open(tmp_path / "b").manifest
    assert sorted(manifest.variants) == ["fp32", "torchscript"]
    assert manifest.default_variant == "fp32"
    assert any(line.startswith("fp16: not shipped") for line in manifest.certificate["summary"])
    stored = json.loads((tmp_path / "b" / "certificate.json").read_text())
    assert not stored["lossy"]["fp16"]["accepted"]
    assert stored["lossy"]["fp16"]["reasons"]
    assert "fp16" not in stored["variants"]
    assert stored["passed"]


def test_a_required_variant_that_does_not_pay_fails_the_export(digits_run: Path, tmp_path: Path) -> None:
    """Exit code 1 with the reason, and nothing is written."""
    out = tmp_path / "b"
    options = ("--fp16", "--require-variants", "--no-torchscript", "--certify-limit", "60")
    result = export_with_a_short_stopwatch(digits_run, "--out", out, *options)

    assert result.returncode == 1
    assert "A variant that was required is not shipped" in result.stderr
    assert "Nothing was written" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_ones_own_decide_where_the_test_part_is_too_small(digits_run: Path, tmp_path: Path) -> None:
    """The digits a pixel further down, never learnt: 1,797 show what 359 can't; the certificate names them."""
    digits = load_digits()
    moved = np.roll(digits.store.read(np.arange(len(digits))), 1, axis=2)[:, 0]
    np.savez(tmp_path / "moved.npz", images=moved, labels=digits.labels)
    options = ("--fp16", "--no-torchscript", "--certify-data", f"npz:{tmp_path / 'moved.npz'}")
    result = export_with_a_short_stopwatch(digits_run, "--out", tmp_path / "b", *options)

    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "b" / "certificate.json").read_text())["lossy"]["fp16"]
    assert found["paired"]["samples"] == found["certify_data"]["samples"] == 1797
    assert not any("images can show" in reason for reason in found["reasons"])


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (("--default-variant", "int8"), "Add --int8"),
        (("--require-variants",), "Add --int8, --fp16 or --bf16"),
        (("--int8", "--provider", "gpu"), "Give cpu or cuda"),
        (("--int8", "--max-accuracy-drop", "0"), "max-accuracy-drop"),
        (("--certify-data", "digits"), "No variant was asked for that --certify-data would be for"),
        (("--provider", "cuda"), "No variant was asked for that --provider would be for"),
        (("--min-speedup", "1.1", "--int8-minutes", "2"), "that --min-speedup, --int8-minutes would be for"),
        (("--int8", "--calibration-data", "digit"), "There is no dataset 'digit'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    digits_run: Path, tmp_path: Path, options: tuple[str, ...], fragment: str
) -> None:
    """Before any work is done."""
    assert_refused(run_torchstone("export", digits_run, "--out", tmp_path / "b", *options), fragment)
