"""The wheel with its `[cpu]` extra, in an environment that has nothing else, does all that production needs."""

import email
import email.message
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from helpers.support import RUNTIME_HEAVY, run_torchstone
from torchstone_runtime.bundle.builtin import locate_bundle

ROOT = Path(__file__).parents[2]
PACKAGES = {"torchstone", "torchstone_runtime", "torchstone_train", "torchstone_export"}

pytestmark = pytest.mark.slow

Bare = Callable[..., "subprocess.CompletedProcess[str]"]


def built(out: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Build a wheel of this checkout into a folder."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **environment})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from this checkout."""
    out = tmp_path_factory.mktemp("dist")
    assert built(out).returncode == 0
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """Runs `torchstone` in an environment made of the wheel and its `[cpu]` extra alone."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]  # one of its own would take longer than the rest
    constraints = ("--constraint", str(ROOT / "constraints.txt"))
    subprocess.run([*pip, "install", "--quiet", *constraints, f"{wheel}[cpu]"], check=True, capture_output=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [str(python.parent / "torchstone"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)

    return run


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_what_a_compiler_made_is_in_the_wheel_of_this_platform(wheel: Path) -> None:
    """And its sources are not."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name.rpartition("/")[2] for name in archive.namelist() if "/resampling/" in name]
    assert "resampling.compiled" in names
    assert not [name for name in names if name.endswith((".c", ".h"))]
    assert wheel.name.endswith(f"-py3-none-{sysconfig.get_platform().replace('-', '_')}.whl")


@pytest.mark.parametrize("environment", [{"TORCHSTONE_BUILD": "pure"}, {"CC": "false"}])
def test_a_wheel_without_a_compiler_is_for_all_platforms(environment: dict[str, str], tmp_path: Path) -> None:
    """Also beside a library that an installation in this folder has left."""
    assert built(tmp_path, **environment).returncode == 0
    (made,) = tmp_path.iterdir()
    with zipfile.ZipFile(made) as archive:
        names = archive.namelist()
    assert not [name for name in names if "resampling.compiled" in name]
    assert made.name.endswith("-py3-none-any.whl")


def test_a_compiler_that_is_required_and_fails_ends_the_build(tmp_path: Path) -> None:
    """A release must not lose it without a word."""
    result = built(tmp_path, CC="false", TORCHSTONE_BUILD="compiled")
    assert result.returncode != 0
    assert "can't be compiled by `false`" in result.stdout + result.stderr
    assert not list(tmp_path.iterdir())


def described(out: Path) -> email.message.Message:
    """Return the metadata of the one wheel in a folder."""
    (made,) = out.iterdir()
    with zipfile.ZipFile(made) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def test_a_release_names_its_repository_and_every_link_leads_there(tmp_path: Path) -> None:
    """A package index shows the description without the files beside it."""
    assert built(tmp_path, TORCHSTONE_ADDRESS="https://forge.example/team/torchstone/").returncode == 0
    metadata = described(tmp_path)
    addresses = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert addresses["Source"] == "https://forge.example/team/torchstone"
    text = str(metadata.get_payload())
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert len(targets) > 20
    assert [target for target in targets if not target.startswith("https://")] == []
    tag = f"v{metadata['Version']}"
    assert f"](https://forge.example/team/torchstone/raw/{tag}/docs/images/photographs.svg)" in text
    ours = [target for target in targets if target.startswith("https://forge.example/")]
    assert all((ROOT / target.partition(f"/{tag}/")[2].partition("#")[0]).is_file() for target in ours)


def test_a_wheel_of_a_clone_names_no_address(wheel: Path) -> None:
    """It would be made up; the description is the README as it is."""
    metadata = described(wheel.parent)
    assert metadata.get_all("Project-URL") is None
    assert "](docs/images/photographs.svg)" in metadata.get_payload()


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: Path) -> None:
    """No test, document or generic name ends up in somebody's site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert {"torchstone_runtime/report/style.css", "torchstone_train/report/curves.css"} <= set(names)


def test_the_base_requirements_are_those_of_the_runtime(wheel: Path) -> None:
    """Without an extra only click, NumPy and Pillow are required."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    required = [line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]

    assert sorted(line.split()[1].partition(">")[0] for line in required) == ["click", "numpy", "pillow"]


def test_wheel_and_sdist_hold_the_built_in_bundle_byte_for_byte(wheel: Path, tmp_path: Path) -> None:
    """All of its files; the model card and the manifest, which are no code, included."""
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    folder = locate_bundle("fashion")
    expected = {path.name: path.read_bytes() for path in folder.iterdir()}
    inside = "torchstone_runtime/bundle/builtin/fashion/"
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name: archive.read(name) for name in archive.namelist() if name.startswith(inside)}
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        members = {item.name: archive.extractfile(item) for item in archive if f"/runtime/{inside}" in item.name}
        in_sdist = {Path(name).name: file.read() for name, file in members.items() if file}

    assert {Path(name).name: content for name, content in in_wheel.items()} == expected
    assert in_sdist == expected


def test_none_of_the_heavy_packages_is_there(bare: Bare) -> None:
    """The bare environment really is one: importing any of the heavy packages fails in it."""
    python = Path(bare("--version").args[0]).parent / "python"
    for package in RUNTIME_HEAVY:
        result = subprocess.run([str(python), "-c", f"import {package}"], capture_output=True, check=False)

        assert result.returncode == 1, package


def test_the_runtime_is_as_small_as_stated(bare: Bare) -> None:
    """All that `[cpu]` installs takes at most 200 MB, pip itself aside (the README states 170 MB)."""
    site = next((Path(bare("--version").args[0]).parents[1] / "lib").glob("python*/site-packages"))
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file() and "pip" not in file.parts)

    assert 50e6 < size <= 200e6, f"{size / 1e6:.0f} MB"


def test_evaluate_gives_the_same_numbers_as_with_pytorch_around(bare: Bare, digits_bundle: Path) -> None:
    """Metrics and every single decision are those of the development environment."""
    here = run_torchstone("evaluate", digits_bundle, "--data", "digits", "--json", "-")
    there = bare("evaluate", digits_bundle, "--data", "digits", "--json", "-")

    assert there.returncode == 0, there.stderr
    expected, found = json.loads(here.stdout), json.loads(there.stdout)
    assert found["metrics"] == expected["metrics"]
    assert found["decisions_sha256"] == expected["decisions_sha256"]


def test_every_output_of_evaluate_is_written(bare: Bare, digits_bundle: Path, tmp_path: Path) -> None:
    """JSON, both CSV files, the predictions and the HTML report need nothing but the runtime."""
    files = {name: tmp_path / name for name in ("a.json", "a.csv", "c.csv", "p.csv", "r.html")}
    result = bare(
        *("evaluate", digits_bundle, "--data", "digits", "--json", files["a.json"], "--csv", files["a.csv"]),
        *("--confusion-csv", files["c.csv"], "--predictions", files["p.csv"], "--report", files["r.html"]),
    )

    assert result.returncode == 0, result.stderr
    assert all(path.stat().st_size > 0 for path in files.values())


def test_the_built_in_model_works_at_once(bare: Bare, tmp_path: Path) -> None:
    """Installed, it is found by its name from anywhere, has its pictures with it, and passes its own checks."""
    shown = bare("inspect", "fashion", "--golden-images", tmp_path)
    verified = bare("verify", "fashion")
    predicted = bare("predict", "fashion", tmp_path / "golden-00.png")

    assert shown.returncode == 0, shown.stderr
    assert verified.returncode == 0, verified.stderr
    assert predicted.returncode == 0, predicted.stderr
    assert predicted.stdout.startswith(f"{tmp_path / 'golden-00.png'}\tAnkle boot ")


def test_verify_inspect_and_predict_work(bare: Bare, digits_bundle: Path, tmp_path: Path) -> None:
    """The other commands of the runtime run in the bare environment too."""
    Image.new("L", (28, 28)).save(tmp_path / "black.png")

    for arguments in (
        ("verify", digits_bundle, "--data", "digits"),
        ("inspect", digits_bundle),
        ("predict", digits_bundle, tmp_path / "black.png"),
    ):
        result = bare(*arguments)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("train", "cnn3", "--dataset", "digits", "--out", "run"), "pip install '.[train]'"),
        (("export", "run", "--out", "bundle"), "pip install '.[export]'"),
        (("download", "mnist"), "pip install '.[train]'"),
        (("quickstart",), "pip install '.[all]'"),
        (("serve", "fashion"), "pip install '.[serve]'"),
    ],
)
def test_a_missing_part_is_named_with_its_install_line(bare: Bare, arguments: tuple[str, ...], line: str) -> None:
    """Commands of parts that are not installed exit with 2 and say what to install."""
    result = bare(*arguments)

    assert result.returncode == 2
    assert line in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.data
def test_fashion_mnist_in_the_bare_environment(bare: Bare, fashion_part: Path, fashion_session: Path) -> None:
    """`sprint` learns from the real images, and the bare runtime decides exactly as PyTorch does."""
    bundle = fashion_session / "bundles" / "fm"
    result = bare("evaluate", bundle, "--data", "fashion-mnist", "--data-dir", fashion_part, "--json", "-")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    pytorch = json.loads((bundle / "certificate.json").read_text())["pytorch"]["test"]

    assert found["metrics"]["samples"] == 2_500
    assert found["metrics"]["accuracy"] >= 0.80
    assert found["metrics"]["correct"] == pytorch["correct"]
    assert found["decisions_sha256"] == pytorch["decisions_sha256"]


@pytest.fixture(scope="module")
def with_server(bare: Bare, wheel: Path) -> Path:
    """The environment's Python once `[serve]` was installed too; for the last tests of this file."""
    python = Path(bare("--version").args[0]).parent / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]  # the environment has none of its own
    constraints = ("--constraint", str(ROOT / "constraints.txt"))
    subprocess.run([*pip, "install", "--quiet", *constraints, f"{wheel}[cpu,serve]"], check=True, capture_output=True)
    return python


def test_the_server_is_as_small_as_stated(with_server: Path) -> None:
    """All that `[cpu,serve]` installs takes at most 165 MB, pip itself and compiled modules aside."""
    site = next((with_server.parents[1] / "lib").glob("python*/site-packages"))
    left_out = {"pip", "setuptools", "__pycache__"}
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file() and left_out.isdisjoint(file.parts))

    assert 50e6 < size <= 165e6, f"{size / 1e6:.0f} MB"


def test_the_server_answers_in_the_bare_environment(with_server: Path, tmp_path: Path) -> None:
    """A picture, its class."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(with_server.with_name("torchstone")), "serve", "fashion", "--port", "0"]
    run_torchstone("inspect", "fashion", "--golden-images", tmp_path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip().rpartition("http://")[2]
            connection = http.client.HTTPConnection(address, timeout=60)
            connection.request("POST", "/predict", (tmp_path / "golden-00.png").read_bytes())
            assert json.loads(connection.getresponse().read())["label"] == "Ankle boot"
            connection.close()
        finally:
            server.kill()
