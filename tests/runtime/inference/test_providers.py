"""A provider that is not available is an error that names what is missing; `auto` says what it chose and why.

Wheels, libraries and drivers are taken away or imitated for a process of its own (`support_gpu`).
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest

from helpers.support import assert_refused, run_torchstone
from helpers.support_gpu import build_driver, build_provider, write_gpu_runtime, write_wheel
from torchstone_runtime.errors import ProviderError, UsageError
from torchstone_runtime.inference import providers
from torchstone_runtime.inference.gpu_options import TF32_VARIABLE
from torchstone_runtime.inference.load_options import ON_CPU, LoadOptions
from torchstone_runtime.inference.providers import open_session

pytestmark = pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="what is missing here depends on the GPU"
)
AZURE = "AzureExecutionProvider"
"""Built into the CPU's wheel, and runs no node of a classifier: a real provider that leaves everything to the CPU."""


@pytest.fixture(scope="module")
def model(digits_bundle: Path) -> bytes:
    """The digits model."""
    return (digits_bundle / "model.onnx").read_bytes()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Packages before the installed ones: an ONNX Runtime that lists CUDA."""
    folder = tmp_path / "site"
    write_gpu_runtime(folder)
    return folder


def predict(
    bundle: Path, *arguments: str, site: Path | None = None, drivers: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `predict` on no image at all: what counts is whether the model loads."""
    env = {"PYTHONPATH": str(site)} if site else {}
    env |= {"LD_LIBRARY_PATH": str(drivers)} if drivers else {}
    image = bundle / "none.png"
    return run_torchstone("predict", bundle, image, "--verbose", *arguments, env=env)


def test_a_missing_wheel_and_driver_are_both_named(digits_bundle: Path) -> None:
    """Else one is installed, and the next thing is missing."""
    result = predict(digits_bundle, "--provider", "cuda")
    assert_refused(result, "the wheel onnxruntime-gpu", "the NVIDIA driver (libcuda.so.1", "'.[gpu]'")


def test_a_wheel_of_another_kind_is_named(digits_bundle: Path) -> None:
    """OpenVINO has its own, and needs no NVIDIA driver."""
    with pytest.raises(ProviderError, match="the wheel onnxruntime-openvino") as caught:
        open_session((digits_bundle / "model.onnx").read_bytes(), LoadOptions(provider="openvino"))
    assert "NVIDIA" not in str(caught.value)


def test_without_a_driver_every_cause_is_named(digits_bundle: Path, site: Path) -> None:
    """Driver, libraries with the CUDA version, and two wheels of which the GPU's is to be kept."""
    build_provider(site, "cuda", ["libcublasLt.so.13", "libcurand.so.10"])
    write_wheel(site, "onnxruntime", "1.31.1")
    write_wheel(site, "onnxruntime-gpu", "1.31.1")
    result = predict(digits_bundle, "--provider", "cuda", site=site)
    assert_refused(
        result,
        "the NVIDIA driver (libcuda.so.1",
        "libonnxruntime_providers_cuda.so needs: libcublasLt.so.13, libcurand.so.10 (it was built for CUDA 13.0)",
        "pip install 'onnxruntime-gpu[cuda,cudnn]'",
        "pip install onnxruntime-gpu==1.31.1",
    )


def test_with_a_driver_the_libraries_are_named(digits_bundle: Path, site: Path, tmp_path: Path) -> None:
    """The session went to the CPU, which is what is noticed; nothing is said of the driver."""
    build_driver(tmp_path / "driver", version=13000, devices=1)
    build_provider(site, "cuda", ["libcublasLt.so.13"])
    result = predict(digits_bundle, "--provider", "cuda", site=site, drivers=tmp_path / "driver")
    assert_refused(result, "Missing: ", "libcublasLt.so.13 (it was built for CUDA 13.0)")
    assert "NVIDIA driver" not in result.stderr


def test_a_driver_for_an_older_cuda_is_named(digits_bundle: Path, site: Path, tmp_path: Path) -> None:
    """With both versions, and what to update."""
    build_driver(tmp_path / "driver", version=12080, devices=1)
    result = predict(digits_bundle, "--provider", "cuda", site=site, drivers=tmp_path / "driver")
    assert_refused(result, "the driver is too old", "ONNX Runtime 13.0", "driver for up to 12.8", "Update the NVIDIA")


@pytest.mark.parametrize("init", [0, 100])
def test_a_driver_without_a_gpu_is_named(digits_bundle: Path, site: Path, tmp_path: Path, init: int) -> None:
    """As in a container that was started without its GPU, or where CUDA_VISIBLE_DEVICES hides it (error 100)."""
    build_driver(tmp_path / "driver", version=13000, devices=0, init=init)
    result = predict(digits_bundle, "--provider", "cuda", site=site, drivers=tmp_path / "driver")
    assert_refused(result, "an NVIDIA GPU (the driver sees none)", "Start the container with its GPU")


def test_a_driver_that_fails_is_named_with_its_error(digits_bundle: Path, site: Path, tmp_path: Path) -> None:
    """999 is CUDA_ERROR_UNKNOWN, which a half-updated driver gives."""
    build_driver(tmp_path / "driver", version=13000, devices=1, init=999)
    result = predict(digits_bundle, "--provider", "cuda", site=site, drivers=tmp_path / "driver")
    assert_refused(result, "the NVIDIA driver (cuInit gave error 999)")


def test_a_gpu_wheel_that_was_overwritten_is_not_called_missing(digits_bundle: Path, tmp_path: Path) -> None:
    """Both are installed, and the CPU's files won: the command that mends it keeps the GPU's."""
    write_wheel(tmp_path, "onnxruntime-gpu", "1.31.1")
    result = predict(digits_bundle, "--provider", "cuda", site=tmp_path)
    assert_refused(result, "are both installed; they overwrite each other's files", "install onnxruntime-gpu==1.31.1")
    assert "the wheel onnxruntime-gpu" not in result.stderr


def test_tensorrt_is_a_library_of_its_own(digits_bundle: Path, site: Path, tmp_path: Path) -> None:
    """No package of ours brings it."""
    build_driver(tmp_path / "driver", version=13000, devices=1)
    build_provider(site, "tensorrt", ["libnvinfer.so.10"])
    options = ("--provider", "tensorrt", "--tf32")
    env = {"PYTHONPATH": str(site), "LD_LIBRARY_PATH": str(tmp_path / "driver"), "XDG_CACHE_HOME": str(tmp_path)}
    result = run_torchstone("predict", digits_bundle, "none.png", *options, env=env)
    assert_refused(result, "libnvinfer.so.10", "install NVIDIA's TensorRT")


def test_tensorrt_is_not_run_in_tf32_that_was_not_allowed(
    digits_bundle: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no option for it: the environment must rule it out, or the user allow it."""
    monkeypatch.delenv(TF32_VARIABLE, raising=False)
    build_driver(tmp_path / "driver", version=13000, devices=1)
    build_provider(site, "tensorrt", [])
    result = predict(digits_bundle, "--provider", "tensorrt", site=site, drivers=tmp_path / "driver")
    assert_refused(result, "TensorRT computes in TF32", "NVIDIA_TF32_OVERRIDE=0", "--tf32")


@pytest.mark.parametrize("devices", [0, 1])
def test_auto_goes_to_the_cpu_and_says_why(digits_bundle: Path, site: Path, tmp_path: Path, devices: int) -> None:
    """No driver's device, or a provider that doesn't load."""
    build_driver(tmp_path / "driver", version=13000, devices=devices)
    result = predict(digits_bundle, site=site, drivers=tmp_path / "driver")
    why = (
        "its library does not load; see torchstone doctor"
        if devices
        else "no NVIDIA GPU answers (the driver sees none)"
    )
    assert "plan: fp32 on cpu (CUDA is not usable: " in result.stderr
    assert why in result.stderr


def test_nodes_left_to_the_cpu_are_an_error_that_names_them(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a session that was really made: by the provider of every node, not by the list of providers."""
    monkeypatch.setitem(providers.PROVIDERS, "openvino", AZURE)
    with pytest.raises(ProviderError, match=r"leaves to the CPU: .*3 Conv") as caught:
        open_session(model, LoadOptions(provider="openvino"))
    assert "--provider cpu" in caught.value.remedy


def test_nodes_on_the_cpu_are_noticed_where_the_fallback_is_not_refused(
    model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The assignment of the session that would serve is read as well: two locks on one door."""
    monkeypatch.setitem(providers.PROVIDERS, "openvino", AZURE)
    real = providers._on

    def lenient(model: bytes, provider: str, options: dict[str, str], *, strict: bool) -> Any:  # noqa: ANN401, ARG001
        return real(model, provider, options, strict=False)

    monkeypatch.setattr(providers, "_on", lenient)
    with pytest.raises(ProviderError, match="leaves to the CPU"):
        open_session(model, LoadOptions(provider="openvino"))


def test_a_session_that_is_on_another_provider_is_refused(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime gives one on the CPU where a provider doesn't load, if it is let."""
    monkeypatch.setitem(providers.PROVIDERS, "openvino", AZURE)
    monkeypatch.setattr(providers, "_on", lambda model, *_, strict: open_session(model, ON_CPU).session)  # noqa: ARG005
    with pytest.raises(ProviderError, match=r"does not load; ONNX Runtime offers \['CPUExecutionProvider'\]"):
        open_session(model, LoadOptions(provider="openvino"))


@pytest.mark.parametrize(
    "options",
    [
        LoadOptions(provider="cpu", tf32=True),
        LoadOptions(provider="openvino", tf32=True),
        LoadOptions(provider="tensorrt", cuda_graphs=True),
    ],
)
def test_choices_without_effect_are_refused(options: LoadOptions) -> None:
    """Who allows TF32 on a CPU believes something that isn't so."""
    with pytest.raises(UsageError, match="Leave"):
        open_session(b"", options)


def test_nothing_of_the_doctor_is_imported_where_all_is_well(digits_bundle: Path) -> None:
    """What explains a fault is loaded when there is one."""
    program = (
        "import sys; from torchstone_runtime import Classifier; "
        f"Classifier.load({os.fspath(digits_bundle)!r}).close(); "
        "print([name for name in sys.modules if 'doctor' in name or 'faults' in name])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_what_others_call_a_provider_is_understood(digits_bundle: Path) -> None:
    """Not the word that is spelt most alike: that is `cpu`."""
    assert_refused(predict(digits_bundle, "--provider", "gpu"), "There is no provider 'gpu'.", "Did you mean 'cuda'?")
