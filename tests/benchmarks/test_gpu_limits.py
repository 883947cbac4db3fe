"""What a GPU's errors were becomes what bundles accept there."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.limits import add_tolerances, limits, multiples
from benchmarks.gpu.steps import DONE
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import variant_golden
from torchstone_runtime.certificate.verify import verify_bundle
from torchstone_runtime.errors import UsageError
from torchstone_runtime.inference.load_options import ON_CPU


def measured(exports: int, worst: float) -> dict[str, Any]:
    """Return what `summarize` gives for a provider."""
    return {"exports": exports, "max_multiple": {"50%": 1.0, "90%": 2.0, "100%": worst}}


def test_a_limit_is_twice_the_worst_export_rounded_up() -> None:
    """As for OpenVINO."""
    summary = {"exports": 60, "cpu": measured(60, 3.0), "cuda": measured(60, 4.2), "cuda, TF32": measured(60, 1234.5)}
    assert limits(summary) == {"cuda": 9.0, "cuda+tf32": 2469.0}


def test_a_provider_that_ran_few_exports_gets_no_limit() -> None:
    """The worst of 49 says too little."""
    assert limits({"tensorrt": measured(49, 4.2), "cuda": {"exports": 0}}) == {}


@pytest.mark.parametrize("content", [None, {"dry_run": True, "steps": {"summary": {"state": DONE, "result": {}}}}])
def test_a_trial_sets_no_limit(tmp_path: Path, content: dict[str, Any] | None) -> None:
    """Its figures mean nothing."""
    if content is not None:
        (tmp_path / "tolerances.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="no measured"):
        multiples(tmp_path)


def test_a_bundle_states_the_new_tolerances_and_still_verifies(bundle_copy: Path) -> None:
    """By its own noise floor; those of other providers stay."""
    before = Bundle.open(bundle_copy).manifest
    add_tolerances(Bundle.open(bundle_copy), {"cuda": 8.0, "cuda+tf32": 3000.0})

    bundle = Bundle.open(bundle_copy)
    floor = before.certificate["noise_floor"]
    assert variant_golden(bundle, "fp32", provider="cuda", tf32=False)[1] == pytest.approx(8 * floor)
    assert variant_golden(bundle, "fp32", provider="cuda", tf32=True)[1] == pytest.approx(3000 * floor)
    kept = before.variants["fp32"].golden_tolerances["openvino"]
    assert bundle.manifest.variants["fp32"].golden_tolerances["openvino"] == kept
    assert any("golden samples" in line for line in verify_bundle(bundle_copy, ON_CPU))
