"""`torchstone doctor` on this installation, and on installations damaged on purpose."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest

import torchstone_runtime
from helpers.support import RUNTIME_HEAVY, run_torchstone
from torchstone_runtime.images.resampling.compiled import SWITCH, is_compiled

Report = dict[str, dict[str, Any]]
REAL = Path(ort.__file__).parent
gpu_wheel = pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(), reason="what is broken here depends on the GPU"
)
pytestmark = gpu_wheel


def diagnose(*path: Path, code: int) -> Report:
    """Run `doctor --json` with `path` before the installed packages; return the findings by the name of the check."""
    result = run_torchstone("doctor", "--json", env={"PYTHONPATH": os.pathsep.join(map(str, path))})
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    document = json.loads(result.stdout)
    assert document["healthy"] is (code == 0)
    return {finding["check"]: finding for finding in document["findings"]}


def write_metadata(site: Path, name: str, version: str, record: str = "") -> None:
    """Write what pip leaves of an installed package."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "RECORD").write_text(record)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for packages with the real ONNX Runtime in it, by links, so that files can be added and replaced."""
    capi = tmp_path / "site" / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    for folder, target in ((REAL, capi.parent), (REAL / "capi", capi)):
        for entry in folder.iterdir():
            if entry.name not in ("capi", "__pycache__"):
                (target / entry.name).symlink_to(entry)
    return tmp_path / "site"


def test_a_sound_installation() -> None:
    """Nothing is broken; the session on the CPU was really made, and its nodes ran there."""
    found = diagnose(code=0)
    assert {finding["status"] for finding in found.values()} <= {"ok", "note"}
    assert found["provider cpu"]["details"]["nodes"] == {"CPUExecutionProvider": ["Conv", "Relu"]}
    assert found["import"]["details"]["version"] == ort.__version__
    parts = ["runtime", "train", "export"] if find_spec("torch") else ["runtime"]
    assert found["parts"]["details"]["installed"] == parts
    assert found["threads"]["details"]["affinity"] == len(os.sched_getaffinity(0))
    assert found["python"]["details"]["version"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize("setting", ["", "0"])
def test_what_resizes_pictures_is_named(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow is no fault, but slower: what to install is said."""
    monkeypatch.setenv(SWITCH, setting)
    found = diagnose(code=0)["resizing"]
    compiled = is_compiled() and not setting
    assert found["details"]["compiled"] is compiled
    assert (found["status"], "compiler" in found["remedy"]) == (("ok", False) if compiled else ("note", True))


def test_the_table_names_each_check_and_what_to_do(tmp_path: Path) -> None:
    """For people: a line a check, `do:` below those with something to be done; the JSON can go to a file as well."""
    write_metadata(tmp_path, "onnxruntime-gpu", "9.9.9")
    target = tmp_path / "doctor.json"
    result = run_torchstone("doctor", "--json", target, env={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == 1
    assert "broken  wheels" in result.stdout
    assert "do: pip uninstall --yes onnxruntime onnxruntime-gpu && pip install onnxruntime==" in result.stdout
    assert "Error: Broken: wheels." in result.stderr
    assert not json.loads(target.read_text())["healthy"]


def test_two_wheels_are_broken_with_the_command_that_mends_it(tmp_path: Path) -> None:
    """They write the same files. Without a GPU here, the CPU's is kept."""
    write_metadata(tmp_path, "onnxruntime-gpu", "1.31.1", f"onnxruntime/__init__.py,sha256={'A' * 43},1\n")
    wheels = diagnose(tmp_path, code=1)["wheels"]
    assert wheels["status"] == "broken"
    assert "onnxruntime-gpu 1.31.1 are both installed" in wheels["summary"]
    assert "onnxruntime-gpu has lost onnxruntime/__init__.py" in wheels["summary"]
    assert wheels["remedy"].startswith("pip uninstall --yes onnxruntime onnxruntime-gpu && pip install onnxruntime==")


def test_two_wheels_in_folders_of_their_own_are_no_fault(site: Path) -> None:
    """A folder in front of the environment's hides its ONNX Runtime, and takes none of its files."""
    write_metadata(site, "onnxruntime-gpu", "1.31.1")
    wheels = diagnose(site, code=0)["wheels"]
    assert wheels["status"] == "note"
    assert "onnxruntime-gpu is imported" in wheels["summary"]
    assert "overwrite" not in wheels["summary"]


def test_files_that_another_package_overwrote(site: Path) -> None:
    """A file that isn't the one installed, and one that is gone, are told by name; sound ones and others are not."""
    record = (REAL.parent / f"onnxruntime-{ort.__version__}.dist-info" / "RECORD").read_text()
    write_metadata(site, "onnxruntime", ort.__version__, record)
    changed, gone = site / "onnxruntime/capi/build_and_package_info.py", site / "onnxruntime/capi/_ld_preload.py"
    text = changed.read_text()
    changed.unlink()
    changed.write_text(text + "# changed\n")
    gone.unlink()
    wheels = diagnose(site, code=1)["wheels"]
    assert sorted(wheels["details"]["altered"]["onnxruntime"]) == [
        "onnxruntime/capi/_ld_preload.py",
        "onnxruntime/capi/build_and_package_info.py",
    ]
    assert wheels["remedy"] == f"pip install --force-reinstall --no-deps onnxruntime=={ort.__version__}"


@pytest.fixture
def build_provider(site: Path, tmp_path: Path) -> Callable[[str, str], None]:
    """Build a provider's library that needs another library, which is then taken away."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no gcc")

    def build(provider: str, missing: str) -> None:
        (tmp_path / "empty.c").write_text("int nothing(void) { return 0; }\n")
        shared = [compiler, "-shared", "-fPIC", "-Wl,--no-as-needed"]
        lacked = tmp_path / missing
        target = site / "onnxruntime" / "capi" / f"libonnxruntime_providers_{provider}.so"
        subprocess.run([*shared, f"-Wl,-soname,{missing}", tmp_path / "empty.c", "-o", lacked], check=True)
        subprocess.run([*shared, tmp_path / "empty.c", lacked, "-o", target], check=True)
        lacked.unlink()

    return build


def test_a_missing_library_is_named(site: Path, build_provider: Callable[[str, str], None]) -> None:
    """The library that lacks it, its name, the loader's own words, and what to install."""
    build_provider("cuda", "libcublasLt.so.99")
    libraries = diagnose(site, code=1)["libraries"]
    assert libraries["status"] == "broken"
    message = libraries["details"]["missing"]["libonnxruntime_providers_cuda.so"]["libcublasLt.so.99"]
    assert "cannot open shared object file" in message
    assert libraries["remedy"] == "pip install 'onnxruntime-gpu[cuda,cudnn]'"


def test_what_only_tensorrt_lacks_is_a_note(site: Path, build_provider: Callable[[str, str], None]) -> None:
    """TensorRT is no part of the GPU's install: without it the rest works."""
    build_provider("tensorrt", "libnvinfer.so.99")
    libraries = diagnose(site, code=0)["libraries"]
    assert (libraries["status"], "libnvinfer.so.99" in libraries["summary"]) == ("note", True)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ImportError('no such symbol')", "ImportError: no such symbol"),
        ("import os; os.abort()", "ended by signal 6"),
        ("import sys; sys.exit(3)", "ended with code 3"),
        ("# what is left when one of two wheels is removed", "has no attribute '__version__'"),
    ],
)
def test_an_onnx_runtime_that_cannot_be_imported(tmp_path: Path, code: str, said: str) -> None:
    """An error, and the end of the process that tries it, are findings; the other checks are still made."""
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(code)
    found = diagnose(tmp_path, code=1)
    assert found["import"]["status"] == "broken"
    assert said in found["import"]["summary"]
    assert found["threads"]["status"] == "ok"


def test_an_installation_without_onnx_runtime(tmp_path: Path) -> None:
    """The base install is no broken one: exit code 0, with the line that installs the runtime."""
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False, symlinks=True)
    needed = tmp_path / "needed"
    needed.mkdir()
    for entry in REAL.parent.iterdir():
        if entry.name.startswith("click"):
            (needed / entry.name).symlink_to(entry)
    source = Path(torchstone_runtime.__file__).parents[1]
    result = subprocess.run(
        [bare / "bin" / "python", "-m", "torchstone_runtime", "doctor", "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{needed}{os.pathsep}{source}"},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = {item["check"]: item for item in json.loads(result.stdout)["findings"]}
    assert found["wheels"]["remedy"] == "pip install '.[cpu]' in a clone of Torchstone"
    assert "import" not in found
    assert "installed" not in found["parts"]["details"]


def test_it_imports_nothing_that_it_judges() -> None:
    """Neither PyTorch nor NumPy nor ONNX Runtime is loaded by the process that reports."""
    program = (
        "import sys; from torchstone_runtime.doctor import check_installation; check_installation(); "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(result.stdout.split()).isdisjoint({*RUNTIME_HEAVY, "numpy", "onnxruntime"})
