"""`torchstone web`: what it writes, and what it refuses."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.web.ort_web import INTERFACE, LOADER, WASM
from torchstone_runtime.web.site import MODULES

EditManifest = Callable[[Path, Callable[[dict[str, Any]], object]], None]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Something with the names of an onnxruntime-web of a later version."""
    dist = tmp_path / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    for name in (INTERFACE, LOADER, WASM):
        (dist / name).write_bytes(name.encode())
    (dist.parent / "package.json").write_text('{"version": "9.0.0"}')
    return dist.parent


def write_site(package: Path, out: Path, bundle: str | Path = "fashion") -> None:
    """Write a site with files of onnxruntime-web that nobody knows."""
    result = run_in_process("web", bundle, "--ort-web", package, "--any-version", "--out", out)
    assert result.returncode == 0, result.stderr


def test_the_site_states_the_hash_of_each_file_that_it_loads(package: Path, tmp_path: Path) -> None:
    """Model, golden samples and runtime: what the page compares before it uses them."""
    write_site(package, tmp_path / "site")
    stated = json.loads((tmp_path / "site" / "model.json").read_text())
    for entry in (stated["model"], stated["golden"], *(stated["runtime"][name] for name in ("loader", "wasm"))):
        content = (tmp_path / "site" / entry["file"]).read_bytes()
        assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_site_holds_the_bundles_model_and_golden_samples(package: Path, tmp_path: Path) -> None:
    """The fp32 file as it is; images, logits and probabilities one after another."""
    write_site(package, tmp_path / "site")
    bundle = Bundle.open("fashion")
    golden = GoldenSamples.from_bytes(bundle.read_file("golden"))
    assert (tmp_path / "site" / "model.onnx").read_bytes() == bundle.read(bundle.manifest.variants["fp32"])
    content = (tmp_path / "site" / "golden.bin").read_bytes()
    outputs = np.frombuffer(content[golden.images.nbytes :], "<f4")
    assert content[: golden.images.nbytes] == golden.images.tobytes()
    assert np.array_equal(outputs, np.concatenate([golden.logits.ravel(), golden.probabilities.ravel()]))


def test_a_lossy_variant_has_its_own_golden_samples(package: Path, tmp_path: Path) -> None:
    """The page replays what the variant did at the export, with the variant's tolerance."""
    out = tmp_path / "site"
    result = run_in_process("web", "fashion", "--variant", "int8", "--ort-web", package, "--any-version", "--out", out)
    assert result.returncode == 0, result.stderr
    stated = json.loads((out / "model.json").read_text())
    assert stated["golden"]["tolerance"] == Bundle.open("fashion").manifest.variants["int8"].golden_tolerance


def test_an_earlier_site_is_replaced(package: Path, tmp_path: Path) -> None:
    """Another bundle's site takes its place, and nothing else is left beside it."""
    out = tmp_path / "made" / "site"
    write_site(package, out)
    (out / "model.onnx").write_bytes(b"of an earlier site")
    write_site(package, out)
    assert (out / "model.onnx").stat().st_size > 100_000
    assert [path.name for path in out.parent.iterdir()] == ["site"]


def test_a_folder_with_other_files_is_left_alone(package: Path, tmp_path: Path) -> None:
    """Somebody's page is not replaced, and neither is a site that somebody added to."""
    out = tmp_path / "site"
    out.mkdir()
    (out / "index.html").write_text("mine")
    result = run_in_process("web", "fashion", "--ort-web", package, "--any-version", "--out", out)
    assert_refused(result, "holds files that are not part of a site: index.html", "nothing was changed")
    assert [path.name for path in out.iterdir()] == ["index.html"]


def test_a_variant_of_openvino_makes_no_site(
    package: Path, bundle_copy: Path, edit_manifest: EditManifest, tmp_path: Path
) -> None:
    """Browsers would compute its file in float32."""
    place = {"provider": "openvino", "precision": "bf16", "golden_tolerance": 0.05}
    edit_manifest(bundle_copy, lambda data: data["variants"].update(bf16=data["variants"]["fp32"] | place))
    arguments = ("--ort-web", package, "--any-version", "--variant", "bf16", "--out", tmp_path / "site")
    result = run_in_process("web", bundle_copy, *arguments)

    assert_refused(result, "was certified on 'openvino', in bf16", "--variant fp32")
    assert not (tmp_path / "site").exists()


def test_an_altered_bundle_makes_no_site(package: Path, bundle_copy: Path, tmp_path: Path) -> None:
    """A model whose hash is another one is not published."""
    content = (bundle_copy / "model.onnx").read_bytes()
    (bundle_copy / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    out = tmp_path / "site"
    result = run_in_process("web", bundle_copy, "--ort-web", package, "--any-version", "--out", out)
    assert_refused(result, "is not the file that was exported")
    assert not out.exists()


def test_an_unknown_version_needs_the_switch(package: Path, tmp_path: Path) -> None:
    """It is named, with those that are known, and taken with a warning where that is asked for."""
    out = tmp_path / "site"
    assert_refused(run_in_process("web", "fashion", "--ort-web", package, "--out", out), "9.0.0", "--any-version")
    assert not out.exists()
    result = run_in_process("web", "fashion", "--ort-web", package, "--any-version", "--out", out)
    assert "Warning: the files of onnxruntime-web 9.0.0 are not known" in result.stderr
    assert "its files are not known" in (out / "index.html").read_text()


def test_an_altered_file_of_a_known_version_is_refused(package: Path, tmp_path: Path) -> None:
    """No switch helps there: that package is damaged."""
    (package / "package.json").write_text('{"version": "1.30.0"}')
    result = run_in_process("web", "fashion", "--ort-web", package, "--any-version", "--out", tmp_path / "site")
    assert_refused(result, "is not the file of onnxruntime-web 1.30.0", "npm install")


def test_a_folder_without_the_package_is_refused(tmp_path: Path) -> None:
    """The message says how to get one."""
    result = run_torchstone("web", "fashion", "--ort-web", tmp_path, "--out", tmp_path / "site")
    assert_refused(result, "holds no onnxruntime-web", "npm install onnxruntime-web@")


def test_npms_own_files_are_known(ort_web: Path, tmp_path: Path) -> None:
    """The package as npm installs it is recognised without its package.json, by the files' hashes."""
    shutil.copytree(ort_web / "dist", tmp_path / "files", ignore=shutil.ignore_patterns("*.map", "*webg*", "*.js"))
    result = run_in_process("web", "fashion", "--ort-web", tmp_path / "files", "--out", tmp_path / "site")
    assert result.returncode == 0, result.stderr
    assert "onnxruntime-web 1.30.0" in result.stdout


def test_names_from_a_bundle_are_text(
    package: Path, bundle_copy: Path, edit_manifest: EditManifest, tmp_path: Path
) -> None:
    """A model and classes that are named like HTML put none into the page."""
    nasty = '<img src="x" onerror="alert(1)">'

    def rename(manifest: dict[str, Any]) -> None:
        manifest["name"], manifest["classes"][0] = nasty, nasty

    edit_manifest(bundle_copy, rename)
    write_site(package, tmp_path / "site", bundle_copy)
    page = (tmp_path / "site" / "index.html").read_text()
    assert nasty not in page
    assert "&lt;img src=" in page


def test_the_page_runs_no_script_but_its_own(package: Path, tmp_path: Path) -> None:
    """Its policy allows nothing from elsewhere, and there is no script, style or handler within the page."""
    write_site(package, tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text()
    assert "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'" in page
    assert page.count("<script") == 1
    assert not any(part in page for part in ("<style", " style=", " onclick", "http://", "https://"))


def test_every_module_of_the_site_is_part_of_it() -> None:
    """What a module imports is written with it."""
    from torchstone_runtime.web.assets import STATIC

    for name in MODULES:
        for line in (STATIC / name).read_text().splitlines():
            if line.startswith("import "):
                imported = line.rpartition("'./")[2].rstrip("';")
                assert imported in {*MODULES, "ort.wasm.min.js"}, (name, imported)
