import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.support import RUNTIME_HEAVY, assert_refused, run_torchstone
from torchstone_runtime import Classifier
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.evaluation.evaluate import decisions_sha256, evaluate

EditManifest = Callable[[Path, Callable[[dict[str, Any]], object]], None]


def test_verify_says_what_it_checked(digits_bundle: Path) -> None:
    """Files, golden samples, and that TorchScript is not run here."""
    result = run_torchstone("verify", digits_bundle)
    assert result.returncode == 0, result.stderr
    assert "6 of 6 have the size and SHA-256" in result.stdout
    assert "16 golden samples decide as at export" in result.stdout
    assert "torchscript  its hash is right" in result.stdout
    assert result.stdout.endswith("verified\n")


def test_verify_with_data_compares_every_decision(digits_bundle: Path) -> None:
    """All decisions over the test split are those of the certificate."""
    result = run_in_process("verify", digits_bundle, "--data", "digits")
    assert result.returncode == 0, result.stderr
    assert "all 359 test decisions are those of the certificate" in result.stdout


def test_verify_fails_where_a_decision_differs(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """A certificate of other decisions is a failed check: exit code 1."""
    path = bundle_copy / "certificate.json"
    certificate = json.loads(path.read_text())
    certificate["variants"]["fp32"]["splits"]["test"]["repeat"]["settled_sha256"] = "0" * 64
    path.write_text(json.dumps(certificate))
    edit_manifest(bundle_copy, lambda _: None)
    result = run_in_process("verify", bundle_copy, "--data", "digits")
    assert result.returncode == 1
    assert "fp32 does not decide as it was certified to" in result.stderr
    assert "verified" not in result.stdout.splitlines()


def _edit_repeat(bundle: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = bundle / "certificate.json"
    certificate = json.loads(path.read_text())
    edit(certificate["variants"]["fp32"]["splits"]["test"]["repeat"])
    path.write_text(json.dumps(certificate))


def test_verify_reports_a_near_tie_that_is_decided_otherwise(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """Another of its possible classes is reported and passes; one that it can't have fails."""
    with Classifier.load(bundle_copy, provider="cpu") as classifier:
        spec, names = classifier.input_spec, classifier.class_names
        split = Dataset(DatasetRef.parse("digits"), Path(), spec, None).test()
        decisions = evaluate(classifier, split).predicted
    here, other = names[decisions[7]], names[(decisions[7] + 1) % 10]

    def make_tie(repeat: dict[str, Any]) -> None:
        repeat["settled_sha256"] = decisions_sha256(np.delete(decisions, 7))
        repeat["near_ties"] = [{"index": 7, "id": split.ids[7], "classes": [other, here]}]

    _edit_repeat(bundle_copy, make_tie)
    edit_manifest(bundle_copy, lambda _: None)
    result = run_in_process("verify", bundle_copy, "--data", "digits")
    assert result.returncode == 0, result.stderr
    assert "358 of 359 test decisions are those of the certificate" in result.stdout
    assert f"sample {split.ids[7]}: {here} here, {other} in exact arithmetic" in result.stdout

    third = names[(decisions[7] + 2) % 10]
    _edit_repeat(bundle_copy, lambda repeat: repeat["near_ties"][0].update(classes=[other, third]))
    edit_manifest(bundle_copy, lambda _: None)
    result = run_in_process("verify", bundle_copy, "--data", "digits")
    assert result.returncode == 1
    assert "near-ties got classes that are not candidates" in result.stderr


def test_verify_finds_other_logits_behind_the_same_decisions(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """A shift of all logits changes no decision; the sketch finds it."""

    def shift(repeat: dict[str, Any]) -> None:
        repeat["sketch"] = (np.array(repeat["sketch"]) + 0.01).tolist()

    _edit_repeat(bundle_copy, shift)
    edit_manifest(bundle_copy, lambda _: None)
    result = run_in_process("verify", bundle_copy, "--data", "digits")
    assert result.returncode == 1
    assert "its logits are off by 0.01 (root mean square)" in result.stderr


def test_verify_reads_certificates_without_the_record(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """Bundles of earlier versions are compared by the digest of all decisions."""
    path = bundle_copy / "certificate.json"
    certificate = json.loads(path.read_text())
    del certificate["variants"]["fp32"]["splits"]["test"]["repeat"]
    path.write_text(json.dumps(certificate))
    edit_manifest(bundle_copy, lambda _: None)
    result = run_in_process("verify", bundle_copy, "--data", "digits")
    assert result.returncode == 0, result.stderr
    assert "all 359 test decisions are those of the certificate" in result.stdout


def test_verify_fails_where_golden_samples_differ(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """Exit code 1, with the numbers."""
    with np.load(bundle_copy / "golden.npz") as arrays:
        np.savez(bundle_copy / "golden.npz", **{**arrays, "logits": arrays["logits"] + np.float32(1)})
    edit_manifest(bundle_copy, lambda _: None)
    result = run_in_process("verify", bundle_copy)
    assert result.returncode == 1
    assert "the largest logit difference is 1, accepted is" in result.stderr


def test_verify_refuses_other_data(bundle_copy: Path, tmp_path: Path) -> None:
    """Data that the certificate was not made on is bad input, not a failed check."""
    np.savez(tmp_path / "d.npz", images=np.zeros((20, 28, 28), np.uint8), labels=np.arange(20) % 10)
    result = run_in_process("verify", bundle_copy, "--data", f"npz:{tmp_path}/d.npz")
    assert result.returncode == 2
    assert "is not the data that the bundle was certified on" in result.stderr


def test_verify_refuses_a_certificate_that_is_none(bundle_copy: Path, edit_manifest: EditManifest) -> None:
    """Also when the manifest agrees with it."""
    (bundle_copy / "certificate.json").write_text('{"variants": []}')
    edit_manifest(bundle_copy, lambda _: None)
    result = run_in_process("verify", bundle_copy, "--data", "digits")
    assert result.returncode == 2
    assert "The certificate is not valid" in result.stderr
    assert "Traceback" not in result.stderr


def test_inspect_describes_the_bundle(digits_bundle: Path) -> None:
    """Classes, input, files with sizes, data with fingerprints, and results."""
    manifest = json.loads((digits_bundle / "manifest.json").read_text())
    result = run_torchstone("inspect", digits_bundle)
    assert result.returncode == 0, result.stderr
    for expected in (
        "classes      10: 0, 1, 2",
        "uint8 N x 1 x 28 x 28, L",
        f"{manifest['variants']['fp32']['size']:,} bytes",
        manifest["provenance"]["dataset"]["test"]["fingerprint"][:16],
        f"accuracy {manifest['metrics']['test']['accuracy']:.4f}",
        "(default)",
    ):
        assert expected in result.stdout


def test_inspect_json_is_the_manifest(digits_bundle: Path) -> None:
    """Nothing is lost or added."""
    result = run_in_process("inspect", digits_bundle, "--json")
    assert json.loads(result.stdout) == json.loads((digits_bundle / "manifest.json").read_text())


@pytest.mark.parametrize("part", ["metrics", "provenance", "certificate"])
def test_inspect_refuses_free_parts_of_another_form(bundle_copy: Path, edit_manifest: EditManifest, part: str) -> None:
    """The parts of the manifest that no schema binds may hold anything: one message, no traceback."""
    odd: dict[str, Any] = {"test": 5, "dataset": 5, "summary": 5}
    edit_manifest(bundle_copy, lambda data: data.update({part: odd}))
    assert_refused(run_in_process("inspect", bundle_copy), "is not what an export writes")
    assert run_in_process("inspect", bundle_copy, "--json").returncode == 0


@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "BUNDLE"], ["--version"], ["inspect", "nowhere"]])
def test_light_commands_load_nothing_heavy(digits_bundle: Path, arguments: list[str]) -> None:
    """Neither NumPy nor ONNX Runtime nor Pillow is imported to show help or a manifest."""
    program = """
import atexit, sys
atexit.register(lambda: print("loaded:", *sorted(name for name in sys.modules if "." not in name)))
from torchstone_runtime.cli.main import main
main(sys.argv[1:])
"""
    given = [str(digits_bundle) if argument == "BUNDLE" else argument for argument in arguments]
    result = subprocess.run([sys.executable, "-c", program, *given], capture_output=True, text=True, check=False)
    loaded = result.stdout.splitlines()[-1].split()
    assert loaded[0] == "loaded:"
    assert "click" in loaded
    assert not {"numpy", "onnxruntime", "PIL", *RUNTIME_HEAVY} & set(loaded)


@pytest.mark.parametrize(
    "arguments", [["inspect"], ["inspect", "--json"], ["evaluate", "--data", "digits", "--split", "all", "--json", "-"]]
)
def test_a_closed_pipe_is_no_fault(digits_bundle: Path, arguments: list[str]) -> None:
    """Whoever reads may stop reading (`| head -1`): no traceback, no complaint, and not the code of a failed check."""
    command, *options = arguments
    process = subprocess.Popen(
        [sys.executable, "-m", "torchstone_runtime", command, str(digits_bundle), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait() == 0


def test_a_terminal_without_the_sign_shows_it_escaped(digits_bundle: Path) -> None:
    """A character set that lacks the ellipsis doesn't end the command."""
    result = run_torchstone("inspect", digits_bundle, env={"PYTHONIOENCODING": "latin-1"})

    assert result.returncode == 0, result.stderr
    assert "\\u2026" in result.stdout
