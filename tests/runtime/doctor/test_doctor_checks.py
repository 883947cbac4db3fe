"""The doctor's checks one by one, on what machines of other kinds say."""

import contextlib
import importlib.metadata
import shutil
import subprocess
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchstone_runtime.doctor.cuda import check_cuda
from torchstone_runtime.doctor.distributions import Installed
from torchstone_runtime.doctor.elf import read_dependencies
from torchstone_runtime.doctor.machine import check_cpu, check_memory
from torchstone_runtime.doctor.probe_findings import check_ceilings, check_import, check_providers, run_probe
from torchstone_runtime.doctor.tiny_model import tiny_model

NATIVE = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_shared.so"
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


@pytest.mark.parametrize(("ir_version", "opset"), [(10, 20), (7, 7), (13, 26)])
def test_the_tiny_model_is_a_valid_one(ir_version: int, opset: int) -> None:
    """ONNX's own checker takes it, with its shapes."""
    model = onnx.load_from_string(tiny_model(ir_version=ir_version, opset=opset))
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (ir_version, opset)


def loads(model: onnx.ModelProto) -> bool:
    """Return whether ONNX Runtime takes a model."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        ort.InferenceSession(model.SerializeToString(), options, providers=[CPU])
    except Exception:  # noqa: BLE001 - onnxruntime's exceptions share no base class
        return False
    return True


def test_the_ceilings_are_those_of_models_made_with_onnx() -> None:
    """At the ceiling a model made by ONNX's own helper loads, one above it does not."""
    ceilings = run_probe()["ceilings"]
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])

    def make(ir_version: int, opset: int) -> onnx.ModelProto:
        opsets = [onnx.helper.make_opsetid("", opset)]
        return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)

    ir, opset = ceilings["ir_version"], ceilings["opset"]
    assert [loads(make(ir, 20)), loads(make(ir + 1, 20))] == [True, False]
    assert [loads(make(10, opset)), loads(make(10, opset + 1))] == [True, False]


def test_a_module_of_the_current_directory_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called as ONNX Runtime is, it would be found broken."""
    (tmp_path / "onnxruntime.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert run_probe()["import"]["version"] == ort.__version__


@pytest.mark.skipif(shutil.which("readelf") is None, reason="there is no readelf")
def test_dependencies_are_those_that_readelf_shows() -> None:
    """In their order."""
    command = ["readelf", "--dynamic", "--wide", str(NATIVE)]  # the system's own
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    needed = [line.partition("[")[2].rstrip("]") for line in shown.splitlines() if "(NEEDED)" in line]
    assert needed
    assert list(read_dependencies(NATIVE).needed) == needed


@given(place=st.integers(0, 1 << 14), content=st.binary(max_size=64))
def test_a_damaged_library_is_an_error_and_no_crash(
    tmp_path_factory: pytest.TempPathFactory, place: int, content: bytes
) -> None:
    """Any bytes changed anywhere: names, or a ValueError."""
    data = bytearray(NATIVE.read_bytes())
    data[place : place + len(content)] = content
    path = tmp_path_factory.mktemp("elf") / "damaged.so"
    path.write_bytes(data)
    with contextlib.suppress(ValueError):
        assert all(isinstance(name, str) for name in read_dependencies(path).needed)


def installed(folder: Path, **versions: str) -> dict[str, Installed]:
    """Return packages with that metadata; `torch` gets its version file."""
    packages = {}
    for key, version in versions.items():
        name = key.replace("_", "-")
        info = folder / f"{key}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        packages[name] = Installed(name, version, importlib.metadata.PathDistribution(info))
    return packages


def probed(runtime: str | None, driver: str | None) -> dict[str, Any]:
    """Return what the probe says of ONNX Runtime's CUDA and of the driver's."""
    said = {"cuda": driver, "devices": 1} if driver else {"error": "libcuda.so.1: cannot open", "devices": 0}
    return {"import": {"cuda": runtime}, "driver": said}


@pytest.mark.parametrize(
    ("runtime", "driver", "packages", "works", "status", "said"),
    [
        (None, None, {}, False, "ok", "ONNX Runtime without CUDA"),
        ("13.0", "13.2", {"nvidia_cuda_runtime": "13.0.96"}, False, "ok", "NVIDIA packages for 13"),
        ("13.0", "12.8", {}, False, "broken", "driver is too old"),
        ("13.0", "13.0", {"nvidia_cuda_runtime_cu12": "12.8.90"}, False, "broken", "of another CUDA"),
        ("13.0", "13.0", {"nvidia_cuda_runtime_cu12": "12.8.90"}, True, "ok", "packages for 12"),
        ("12.8", "13.0", {"torch": "2.15.0"}, False, "note", "PyTorch brings CUDA 13"),
        (
            "12.8",
            None,
            {"nvidia_cuda_runtime": "13.0.1", "nvidia_cuda_runtime_cu12": "12.8"},
            False,
            "ok",
            "for 12, 13",
        ),
        ("13.0", "13.0", {"nvidia_cudnn_cu13": "9.26.0.51"}, True, "ok", "nvidia-cudnn-cu13 9.26.0.51"),
    ],
)
def test_cuda_versions_that_do_and_do_not_fit(
    tmp_path: Path,
    *,
    runtime: str | None,
    driver: str | None,
    packages: dict[str, str],
    works: bool,
    status: str,
    said: str,
) -> None:
    """By metadata alone; a session that works settles it whatever the versions say."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "version.py").write_text("__version__ = '2.15.0'\ncuda: str | None = '13.2'\n")
    found = check_cuda(installed(tmp_path, **packages), probed(runtime, driver), works=works)
    assert (found.status, said in found.summary) == (status, True), found.summary
    assert bool(found.remedy) is (status == "broken")


def test_providers_are_judged_by_their_sessions() -> None:
    """Built in but not loaded, nodes left to the CPU, and an error are told; what is of no use is passed over."""
    sessions = [
        {"provider": "AzureExecutionProvider", "offers": [CPU], "nodes": {CPU: ["Conv"]}},
        {"provider": CUDA, "offers": [CPU], "nodes": {CPU: ["Conv", "Relu"]}},
        {"provider": CUDA, "offers": [CUDA, CPU], "nodes": {CUDA: ["Conv"], CPU: ["Relu"]}},
        {"provider": CUDA, "error": "no device"},
        {"provider": CUDA, "offers": [CUDA, CPU], "nodes": {CUDA: ["Conv", "Relu"]}},
        {"provider": "TensorrtExecutionProvider", "error": "no libnvinfer"},
        {"provider": CPU, "offers": [CPU], "nodes": None},
    ]
    found = list(check_providers({"sessions": sessions}))
    assert [finding.status for finding in found] == ["broken", "broken", "broken", "ok", "note", "ok"]
    assert "does not load: the session runs on CPUExecutionProvider" in found[0].summary
    assert f"leaves nodes to {CPU}" in found[1].summary
    assert "no device" in found[2].summary


def test_an_onnx_runtime_that_is_too_old_for_bundles() -> None:
    """It is broken for Torchstone; one that could not be tried says nothing."""
    too_old = check_ceilings({"ceilings": {"ir_version": None, "opset": 20}})
    assert too_old is not None
    assert too_old.status == "broken"
    assert check_ceilings({}) is None


def test_a_process_that_died_on_the_way_is_told() -> None:
    """Also when the import itself went well."""
    said: dict[str, Any] = {"version": "1", "folder": "x", "cuda": None, "has": []}
    assert check_import({"import": said, "ended": "was ended by signal 11"}).status == "broken"
    assert check_import({"import": said, "ended": ""}).status == "ok"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "model name\t: Intel Xeon 6\nflags\t\t: fpu avx avx2 avx512f avx512_vnni amx_tile amx_int8 amx_bf16\n",
            {"AVX2": True, "AVX512": True, "VNNI": True, "AMX": True, "bf16": True},
        ),
        (
            "model name\t: old\nflags\t\t: fpu avx avx2\n",
            {"AVX2": True, "AVX512": False, "VNNI": False, "AMX": False, "bf16": False},
        ),
        (
            "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm bf16\n",
            {"bf16": True, "NEON dot product": True, "i8mm": True, "SVE": False},
        ),
    ],
)
def test_processor_features(tmp_path: Path, text: str, expected: dict[str, bool]) -> None:
    """From /proc/cpuinfo, of x86 and ARM."""
    (tmp_path / "cpuinfo").write_text(text)
    found = check_cpu(tmp_path / "cpuinfo")
    assert found.details["features"] == expected
    assert ("gain little" in found.summary) is (not expected.get("VNNI", True))


def test_systems_without_proc_are_survived(tmp_path: Path) -> None:
    """Then the features and the memory are not known."""
    assert "not known" in check_cpu(tmp_path / "none").summary
    assert "not known" in check_memory(tmp_path / "none").summary
