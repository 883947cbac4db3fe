"""Packages of a variant that only OpenVINO computes: made for what can run it, refused for anything else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused
from torchstone_runtime.bundle.golden import GoldenSamples

EditManifest = Callable[[Path, Callable[[dict[str, Any]], object]], None]


@pytest.fixture
def bf16_bundle(bundle_copy: Path, edit_manifest: EditManifest) -> Path:
    """A bundle whose default variant is the file of `fp32`, computed by OpenVINO in bfloat16."""
    golden = GoldenSamples.from_bytes((bundle_copy / "golden.npz").read_bytes())
    (bundle_copy / "golden.npz").write_bytes(golden.to_bytes({"bf16": golden}))

    def add(data: dict[str, Any]) -> None:
        place = {"provider": "openvino", "precision": "bf16", "golden_tolerance": 0.05}
        data["variants"]["bf16"] = data["variants"]["fp32"] | place
        data["default_variant"] = "bf16"

    edit_manifest(bundle_copy, add)
    return bundle_copy


@pytest.mark.parametrize(("variant", "extra"), [("bf16", "openvino"), ("fp32", "cpu")])
def test_our_own_server_is_installed_with_what_runs_the_variant(
    bf16_bundle: Path, tmp_path: Path, variant: str, extra: str
) -> None:
    """In a container and in a function; otherwise neither would start."""
    for kind in ("container", "lambda"):
        arguments = ("--for", kind, "--variant", variant, "--out", tmp_path / kind)
        result = run_in_process("package", bf16_bundle, *arguments)
        assert result.returncode == 0, result.stderr

    assert f'"torchstone[{extra},serve]==' in (tmp_path / "container" / "Containerfile").read_text()
    assert (tmp_path / "lambda" / "requirements.txt").read_text().startswith(f"torchstone[{extra}]==")


@pytest.mark.parametrize("kind", [("triton",), ("kserve", "--storage-uri", "s3://models/digits")])
def test_other_servers_do_not_get_it_under_its_name(bf16_bundle: Path, tmp_path: Path, kind: tuple[str, ...]) -> None:
    """They would compute its file in float32."""
    result = run_in_process("package", bf16_bundle, "--for", *kind, "--variant", "bf16", "--out", tmp_path / "out")

    assert_refused(result, "was certified on 'openvino', in bf16", "--variant fp32")
    assert not (tmp_path / "out").exists()


def test_triton_gets_fp32_in_place_of_a_default_one(bf16_bundle: Path, tmp_path: Path) -> None:
    """And a line says so."""
    result = run_in_process("package", bf16_bundle, "--for", "triton", "--out", tmp_path, "--name", "digits")
    record = json.loads((tmp_path / "digits" / "torchstone-package.json").read_text())

    assert record["variant"] == "fp32"
    assert "fp32 in place of bf16, which only our own server runs, on openvino" in result.stderr
