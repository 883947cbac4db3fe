"""Which model of a bundle runs where, with the processor's features given."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.certificate.verify import verify_bundle
from torchstone_runtime.errors import BundleError, CheckFailedError, ProviderError
from torchstone_runtime.inference import providers, variants
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import ON_CPU, LoadOptions

EditManifest = Callable[[Path, Callable[[dict[str, Any]], object]], None]
without_openvino = pytest.mark.skipif(
    "OpenVINOExecutionProvider" in ort.get_available_providers(), reason="torchstone[openvino] is installed"
)
WITH, WITHOUT = frozenset({"avx512_vnni"}), frozenset({"avx2"})


@pytest.fixture
def lossy_bundle(bundle_copy: Path, edit_manifest: EditManifest) -> Path:
    """A bundle whose default variant, `int8`, needs a processor feature and has golden samples of its own."""
    golden = GoldenSamples.from_bytes((bundle_copy / "golden.npz").read_bytes())
    own = GoldenSamples(golden.images[:3], golden.logits[:3], golden.probabilities[:3])
    (bundle_copy / "golden.npz").write_bytes(golden.to_bytes({"int8": own}))

    def add(data: dict[str, Any]) -> None:
        # The file is that of fp32: how it was made is another test's subject.
        extra = {"requires_any": ["avx512_vnni", "asimddp"], "golden_tolerance": 0.01}
        data["variants"]["int8"] = data["variants"]["fp32"] | extra
        data["default_variant"] = "int8"

    edit_manifest(bundle_copy, add)
    return bundle_copy


@pytest.fixture
def bf16_bundle(bundle_copy: Path, edit_manifest: EditManifest) -> Path:
    """A bundle whose default variant is computed by OpenVINO in bfloat16."""
    place = {"provider": "openvino", "precision": "bf16", "golden_tolerance": 0.05}

    def add(data: dict[str, Any]) -> None:
        data["variants"]["bf16"] = data["variants"]["fp32"] | place
        data["default_variant"] = "bf16"

    edit_manifest(bundle_copy, add)
    return bundle_copy


@without_openvino
@pytest.mark.parametrize("provider", ["auto", "cpu"])
def test_without_openvino_fp32_runs_in_place_of_a_default_bf16(bf16_bundle: Path, provider: str) -> None:
    """And the plan names both and what is missing."""
    with Classifier.load(bf16_bundle, provider=provider) as classifier:
        assert (classifier.plan.variant, classifier.plan.precision) == ("fp32", "fp32")
        assert "fp32 in place of bf16" in classifier.plan.reason
        assert "openvino" in classifier.plan.reason


@without_openvino
def test_without_openvino_bf16_by_name_says_what_to_install(bf16_bundle: Path) -> None:
    """The wheel, by the extra that brings it."""
    with pytest.raises(ProviderError, match="onnxruntime-openvino") as caught:
        Classifier.load(bf16_bundle, variant="bf16")
    assert "pip install '.[openvino]'" in caught.value.remedy


@without_openvino
def test_without_openvino_verify_leaves_bf16_out_and_says_so(bf16_bundle: Path) -> None:
    """Its hash is checked all the same."""
    lines = list(verify_bundle(bf16_bundle, LoadOptions()))
    assert any(
        "its hash is right; it is not run here: it was certified on 'openvino', which is not" in x for x in lines
    )


@pytest.mark.parametrize("variant", [None, "int8"])
def test_with_the_feature_the_variant_runs(lossy_bundle: Path, variant: str | None) -> None:
    """As the default one and by name."""
    with Classifier.load(lossy_bundle, variant=variant, provider="cpu", features=WITH) as classifier:
        assert classifier.plan.variant == "int8"
        assert "in place of" not in classifier.plan.reason


def test_without_the_feature_fp32_runs_and_the_plan_says_so(lossy_bundle: Path) -> None:
    """The reason names both variants and what is missing."""
    with Classifier.load(lossy_bundle, provider="cpu", features=WITHOUT) as classifier:
        assert classifier.plan.variant == "fp32"
        assert "fp32 in place of int8: this processor has none of asimddp, avx512_vnni" in str(classifier.plan)


def test_asked_for_by_name_without_the_feature_is_an_error(lossy_bundle: Path) -> None:
    """It names the feature and what to do, as for a provider that is not there."""
    with pytest.raises(ProviderError, match="none of asimddp, avx512_vnni") as caught:
        Classifier.load(lossy_bundle, variant="int8", provider="cpu", features=WITHOUT)
    assert "fp32" in caught.value.remedy


@pytest.fixture
def imitated_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that answers, whose provider makes its sessions on the processor."""
    real = providers.open_session

    def opened(model: bytes, options: LoadOptions) -> providers.OpenedSession:
        wanted = "cuda" if options.provider == "auto" else options.provider
        return replace(real(model, ON_CPU), provider=wanted, reason="imitated")

    monkeypatch.setattr(variants, "is_built_in", lambda _: True)
    monkeypatch.setattr(variants, "ask_driver", lambda: {"devices": 1, "cuda": "13.0"})
    monkeypatch.setattr(variants, "open_session", opened)


@pytest.mark.usefixtures("imitated_gpu")
@pytest.mark.parametrize("provider", ["auto", "cuda", "tensorrt"])
def test_on_a_gpu_fp32_runs_in_place_of_a_default_int8(lossy_bundle: Path, provider: str) -> None:
    """That int8 pays was measured on a processor; a GPU leaves its operators to the processor."""
    options = LoadOptions(provider=provider, features=WITH)
    chosen, opened = variants.open_variant(Bundle.open(lossy_bundle), options)

    assert (chosen, opened.provider) == ("fp32", "cuda" if provider == "auto" else provider)
    assert opened.reason == "imitated; fp32 in place of int8, which was measured on a processor"


@pytest.mark.usefixtures("imitated_gpu")
@pytest.mark.parametrize(("provider", "variant"), [("cpu", None), ("auto", "int8"), ("cuda", "int8")])
def test_int8_runs_on_a_processor_and_where_it_is_named(lossy_bundle: Path, provider: str, variant: str | None) -> None:
    """A GPU in the machine changes nothing for who asks for the processor, or for the variant."""
    options = LoadOptions(provider=provider, variant=variant, features=WITH)
    chosen, opened = variants.open_variant(Bundle.open(lossy_bundle), options)

    assert chosen == "int8"
    assert "in place of" not in opened.reason


def test_verify_on_a_gpu_leaves_int8_out_and_says_so(lossy_bundle: Path, edit_manifest: EditManifest) -> None:
    """A GPU leaves its operators to the processor: that is no fault of the bundle."""

    def int8_alone(data: dict[str, Any]) -> None:  # the others would need the GPU
        data["variants"] = {"int8": data["variants"]["int8"]}

    edit_manifest(lossy_bundle, int8_alone)
    lines = list(verify_bundle(lossy_bundle, LoadOptions(provider="cuda")))
    assert any("it is not run here: it was made and measured for processors" in line for line in lines)


def test_a_lossy_variant_is_replayed_against_its_own_outputs(lossy_bundle: Path, edit_manifest: EditManifest) -> None:
    """Where its own expected logits are others than it gives, it is refused, and fp32 beside it is not."""
    golden = GoldenSamples.from_bytes((lossy_bundle / "golden.npz").read_bytes())
    shifted = GoldenSamples(golden.images, golden.logits + np.float32(0.02), golden.probabilities)
    (lossy_bundle / "golden.npz").write_bytes(golden.to_bytes({"int8": shifted}))
    edit_manifest(lossy_bundle, lambda data: data["variants"]["int8"].update(golden_tolerance=0.01))

    with pytest.raises(CheckFailedError, match="golden"):
        Classifier.load(lossy_bundle, variant="int8", provider="cpu", features=WITH)
    Classifier.load(lossy_bundle, variant="fp32", provider="cpu", features=WITH).close()


def test_a_lossy_variant_without_samples_of_its_own_is_refused(lossy_bundle: Path, edit_manifest: EditManifest) -> None:
    """It is never replayed against the PyTorch model's outputs with a tolerance that was not made for them."""
    golden = GoldenSamples.from_bytes((lossy_bundle / "golden.npz").read_bytes())
    (lossy_bundle / "golden.npz").write_bytes(golden.to_bytes())
    edit_manifest(lossy_bundle, lambda _: None)
    data = json.loads((lossy_bundle / "manifest.json").read_text())
    data["variants"]["int8"] |= {"requires_any": ["avx512_vnni"], "golden_tolerance": 0.01}
    (lossy_bundle / "manifest.json").write_text(json.dumps(data))

    with pytest.raises(BundleError, match="golden samples cannot be read"):
        Classifier.load(lossy_bundle, variant="int8", provider="cpu", features=WITH)


@pytest.mark.parametrize(
    "extra",
    [
        {"requires_any": "avx2"},
        {"requires_any": [1]},
        {"requires_any": ["x"] * 65},
        {"requires_any": ["a\x1b[0m"]},
        {"golden_tolerance": 0},
        {"golden_tolerance": float("nan")},
        {"golden_tolerance": "1"},
        {"provider": "cuda", "precision": "bf16"},
        {"provider": "openvino", "precision": "fp8"},
        {"precision": "bf16"},
    ],
)
def test_entries_that_are_not_as_specified_are_refused(
    bundle_copy: Path, edit_manifest: EditManifest, extra: dict[str, Any]
) -> None:
    """A manifest that states them wrongly is not valid."""
    edit_manifest(bundle_copy, lambda data: data["variants"]["fp32"].update(extra))

    with pytest.raises(BundleError, match="not valid"):
        Classifier.load(bundle_copy, provider="cpu")
