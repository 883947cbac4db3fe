"""A certificate over some of the images says so everywhere, and is checked over the same images again."""

import json
from pathlib import Path

import numpy as np
import pytest

from conftest import MakeOnce
from helpers.in_process import run_in_process
from torchstone_export.run_data import load_run_data
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_train.run.run_dir import RunDirectory


@pytest.fixture(scope="module")
def limited(digits_run: Path, make_once: MakeOnce) -> Path:
    """A bundle certified over 100 of the 287 validation and 100 of the 359 test images. Don't change it."""

    def export(folder: Path) -> None:
        result = run_in_process("export", digits_run, "--certify-limit", "100", "--out", folder / "bundle")
        assert result.returncode == 0, result.stderr
        (folder / "stdout").write_text(result.stdout)

    return make_once("limited", export)


def test_the_statement_is_a_weaker_one(limited: Path) -> None:
    """On the terminal, in the certificate, the manifest and the model card."""
    certificate = json.loads((limited / "bundle" / "certificate.json").read_text())
    manifest = Bundle.open(limited / "bundle").manifest
    card = (limited / "bundle" / "README.md").read_text()
    sample = {"limit": 100, "seed": 0, "of": {"test": 359, "validation": 287}}
    said = "validation 100 of 287 images, drawn at random; test 100 of 359 images, drawn at random"

    assert certificate["sample"] == manifest.certificate["sample"] == sample
    assert (
        certificate["pytorch"]["test"]["samples"] == certificate["variants"]["fp32"]["splits"]["test"]["samples"] == 100
    )
    for text in ((limited / "stdout").read_text(), card, "\n".join(manifest.certificate["summary"])):
        assert said in text
        assert "all 200 decisions are PyTorch's (a sample of validation and test)" in text
    assert "Accuracy on the test split (100 of 359 images, drawn at random)" in card


def test_the_bound_is_that_of_the_images_that_were_run(limited: Path) -> None:
    """1 - 0.05 ** (1 / 200) of the next image's decisions."""
    certificate = json.loads((limited / "bundle" / "certificate.json").read_text())
    for variant in ("fp32", "torchscript"):
        found = certificate["variants"][variant]["unseen_flips"]
        assert (found["images"], found["flips"], found["confidence"]) == (200, 0, 0.95)
        assert found["rate_at_most"] == pytest.approx(-np.expm1(np.log(0.05) / 200), rel=1e-12)
    assert "at most 1.5% of the decisions are not PyTorch's (0 of 200 were not" in (limited / "stdout").read_text()


def test_the_data_is_still_known_as_the_bundles_own(limited: Path, digits_run: Path) -> None:
    """The provenance states all images, so that an evaluation finds the test part that was held out."""
    recorded = json.loads((digits_run / "run.json").read_text())["dataset"]["test"]
    assert Bundle.open(limited / "bundle").manifest.provenance["dataset"]["test"] == recorded
    result = run_in_process("evaluate", limited / "bundle", "--data", "digits", "--json")
    data = json.loads(result.stdout)["data"]
    assert (data["same_as_certified"], data["certified_sample"], data["samples"]) == (True, 100, 359)
    told = run_in_process("evaluate", limited / "bundle", "--data", "digits").stdout
    assert "the certified data, of which 100 images were run for it" in told


def test_verify_runs_the_same_images(limited: Path) -> None:
    """And finds their decisions."""
    result = run_in_process("verify", limited / "bundle", "--data", "digits")
    assert result.returncode == 0, result.stderr
    assert "all 100 test decisions are those of the certificate" in result.stdout


def test_a_validation_picture_outside_the_sample_may_not_decide_on_int8(digits_run: Path, tmp_path: Path) -> None:
    """The model's epoch was chosen by all of them."""
    validation = load_run_data(RunDirectory.open(digits_run).read_info(), None, tmp_path).validation
    np.savez(tmp_path / "extra.npz", images=validation.store.read(np.arange(287))[:, 0], labels=validation.labels)
    options = ("--int8", "--certify-limit", "5", "--certify-data", f"npz:{tmp_path / 'extra.npz'}")
    result = run_in_process("export", digits_run, *options, "--out", tmp_path / "bundle")

    assert result.returncode == 2
    assert "287 of the 287 pictures" in result.stderr
    assert "chosen on" in result.stderr


def test_the_certificate_is_computed_anew_over_the_same_images(limited: Path, digits_run: Path) -> None:
    """With the run at hand."""
    result = run_in_process("verify", limited / "bundle", "--run", digits_run)
    assert result.returncode == 0, result.stderr
    assert "all 200 decisions are PyTorch's (a sample of validation and test)" in result.stdout


def test_a_limit_that_cuts_nothing_changes_nothing(digits_run: Path, digits_bundle: Path, tmp_path: Path) -> None:
    """No sample is recorded, and the certificate is the usual one."""
    result = run_in_process("export", digits_run, "--certify-limit", "359", "--out", tmp_path / "bundle")
    assert result.returncode == 0, result.stderr
    for file in ("certificate.json", "README.md"):
        assert (tmp_path / "bundle" / file).read_text().splitlines() == (digits_bundle / file).read_text().splitlines()


def test_no_images_prove_nothing(digits_run: Path, tmp_path: Path) -> None:
    """Refused before any work."""
    result = run_in_process("export", digits_run, "--certify-limit", "0", "--out", tmp_path / "bundle")
    assert result.returncode == 2
    assert "--certify-limit" in result.stderr
