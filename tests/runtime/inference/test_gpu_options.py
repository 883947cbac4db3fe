"""What ONNX Runtime is told about a GPU, where TensorRT's engines lie, and the tolerance that holds there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import variant_golden
from torchstone_runtime.errors import BundleError, OutputError, ProviderError
from torchstone_runtime.inference.gpu_options import TF32_VARIABLE, engine_cache, provider_options, tensorrt_profile

SHA256 = "ab" * 32
EditManifest = Callable[[Path, Callable[[dict[str, Any]], object]], None]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_tf32_is_off_unless_it_is_allowed() -> None:
    """ONNX Runtime's own default is on."""
    assert provider_options("cuda", SHA256) == {"use_tf32": "0"}
    assert provider_options("cuda", SHA256, tf32=True) == {"use_tf32": "1"}


def test_cuda_graphs_are_an_option() -> None:
    """Off unless asked for."""
    graphs = provider_options("cuda", SHA256, cuda_graphs=True)
    assert graphs == {"use_tf32": "0", "enable_cuda_graph": "1"}


def test_other_providers_get_no_options() -> None:
    """OpenVINO has its own defaults."""
    assert provider_options("openvino", SHA256) == {}


def test_tensorrt_keeps_its_engines_by_model_and_precision(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine built with TF32 must not serve where it isn't allowed."""
    monkeypatch.setenv(TF32_VARIABLE, "0")
    plain = provider_options("tensorrt", SHA256)
    loose = provider_options("tensorrt", SHA256, tf32=True)
    assert plain["trt_engine_cache_path"] == str(cache / "torchstone" / "tensorrt" / SHA256)
    assert plain["trt_engine_cache_path"] != loose["trt_engine_cache_path"]
    enabled = {plain[f"trt_{kind}_cache_enable"] for kind in ("engine", "timing")}
    assert enabled == {"True"}, "ONNX Runtime refuses 1 for these"


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("value", [None, "1", ""])
def test_tensorrt_wants_tf32_ruled_out_or_allowed(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """Nothing else turns it off."""
    if value is None:
        monkeypatch.delenv(TF32_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(TF32_VARIABLE, value)
    with pytest.raises(ProviderError, match=r"(?s)TF32, which was not allowed.*NVIDIA_TF32_OVERRIDE=0"):
        provider_options("tensorrt", SHA256)


@pytest.mark.parametrize(("shape", "tuned", "largest"), [((1, 28, 28), 64, 1024), ((3, 1200, 1600), 4, 4)])
def test_tensorrt_builds_one_engine_for_every_batch_size(shape: tuple[int, ...], tuned: int, largest: int) -> None:
    """Else it builds another one for each size that comes, which takes from seconds to minutes."""
    row = "x".join(map(str, shape))
    assert tensorrt_profile("images", shape) == {
        "trt_profile_min_shapes": f"images:1x{row}",
        "trt_profile_opt_shapes": f"images:{tuned}x{row}",
        "trt_profile_max_shapes": f"images:{largest}x{row}",
    }


def test_only_the_owner_can_write_engines(cache: Path) -> None:
    """Made so, and found again."""
    folder = engine_cache(SHA256, tf32=False)
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent, cache / "torchstone")} == {0o700}
    assert engine_cache(SHA256, tf32=False) == folder


def test_a_cache_that_others_can_write_to_is_refused(cache: Path) -> None:
    """An engine is code: whoever writes it decides what runs."""
    engine_cache(SHA256, tf32=False)
    (cache / "torchstone" / "tensorrt").chmod(0o777)
    with pytest.raises(OutputError, match=r"(?s)others can write.*XDG_CACHE_HOME"):
        engine_cache(SHA256, tf32=False)


def test_a_link_in_place_of_the_cache_is_refused(cache: Path, tmp_path: Path) -> None:
    """It may lead anywhere."""
    (tmp_path / "elsewhere").mkdir()
    cache.mkdir()
    (cache / "torchstone").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is not a folder"):
        engine_cache(SHA256, tf32=False)


def test_a_cache_that_cannot_be_made_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to set."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="no place for the engines"):
        engine_cache(SHA256, tf32=False)


def test_the_tolerance_is_that_of_the_provider_where_one_is_stated(
    bundle_copy: Path, edit_manifest: EditManifest
) -> None:
    """With TF32 only one that was stated for TF32."""
    stated = {"cuda": 0.25, "tensorrt+tf32": 0.5}
    edit_manifest(bundle_copy, lambda data: data["variants"]["fp32"].update(golden_tolerances=stated))
    bundle = Bundle.open(bundle_copy)
    usual = bundle.manifest.golden_tolerance

    def accepted(provider: str, *, tf32: bool = False) -> float:
        return variant_golden(bundle, "fp32", provider=provider, tf32=tf32)[1]

    assert [accepted("cpu"), accepted("cuda"), accepted("tensorrt")] == [usual, 0.25, usual]
    assert [accepted("cuda", tf32=True), accepted("tensorrt", tf32=True)] == [usual, 0.5]
    written = bundle.manifest.variants["fp32"].to_json()
    assert json.loads(json.dumps(written))["golden_tolerances"] == stated


@pytest.mark.parametrize("stated", [{"cuda": 0}, {"cuda": "1"}, {"cuda": float("inf")}, [1], {"\x1b": 1.0}])
def test_a_tolerance_that_is_none_is_refused(bundle_copy: Path, edit_manifest: EditManifest, stated: object) -> None:
    """Positive and finite, by a name that can be shown."""
    edit_manifest(bundle_copy, lambda data: data["variants"]["fp32"].update(golden_tolerances=stated))
    with pytest.raises(BundleError, match="is not valid"):
        Bundle.open(bundle_copy)
