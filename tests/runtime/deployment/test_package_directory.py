"""Packages are written whole, and replace nothing but packages."""

import json
import shlex
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle

FASHION = locate_bundle("fashion")


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_record_names_the_bundle_and_every_file(tmp_path: Path) -> None:
    """Also as the JSON document of the command."""
    result = run_torchstone("package", FASHION, "--for", "lambda", "--out", tmp_path / "out", "--json")
    record = json.loads((tmp_path / "out" / "torchstone-package.json").read_text())

    assert result.returncode == 0, result.stderr
    assert record["bundle"]["manifest_sha256"] == Bundle.open(FASHION).manifest_sha256
    assert {*record["files"], "torchstone-package.json"} == set(contents(tmp_path / "out"))
    assert json.loads(result.stdout)["files"] == record["files"]


def test_an_earlier_package_is_replaced_only_where_that_is_asked_for(tmp_path: Path) -> None:
    """A file of the former one does not stay."""
    out = tmp_path / "out"
    first = run_in_process("package", FASHION, "--for", "lambda", "--out", out)
    refused = run_in_process("package", FASHION, "--for", "container", "--out", out)
    replaced = run_in_process("package", FASHION, "--for", "container", "--out", out, "--overwrite")

    assert first.returncode == 0, first.stderr
    assert_refused(refused, "There is a package at", "--overwrite")
    assert replaced.returncode == 0, replaced.stderr
    assert "handler.py" not in contents(out)
    assert "Containerfile" in contents(out)


@pytest.mark.parametrize("name", ["notes.txt", "bundle/notes.txt", ".env"])
def test_files_of_somebody_else_are_never_replaced(tmp_path: Path, name: str) -> None:
    """Not with --overwrite either; nothing is changed."""
    out = tmp_path / "out"
    assert run_in_process("package", FASHION, "--for", "lambda", "--out", out).returncode == 0
    (out / name).write_text("mine")
    before = contents(out)
    result = run_in_process("package", FASHION, "--for", "lambda", "--out", out, "--overwrite")

    assert_refused(result, "holds files that are not part of a package", name)
    assert contents(out) == before


def test_a_bundle_is_never_replaced_by_a_package(bundle_copy: Path) -> None:
    """It has no record of a package."""
    assert_refused(
        run_in_process("package", FASHION, "--for", "lambda", "--out", bundle_copy, "--overwrite"), "not part"
    )


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    """It stays."""
    (tmp_path / "out").write_text("mine")
    assert_refused(run_in_process("package", FASHION, "--for", "lambda", "--out", tmp_path / "out"), "is a file")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("--for", "lambda", "--instances", "2"), "--instances has no meaning with --for lambda"),
        (("--for", "kserve"), "Give --storage-uri"),
        (("--for", "kserve", "--storage-uri", "models"), "is not a storage URI"),
        (("--for", "kserve", "--storage-uri", "s3://a", "--image", "a b"), "is not a container image"),
        (("--for", "triton", "--name", "../escape"), "cannot be the name of a model"),
        (("--for", "triton", "--variant", "fp8"), "no variant 'fp8'"),
        (("--for", "container", "--wheel", "WHEEL"), "is not a wheel of Torchstone"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arguments: tuple[str, ...], fragment: str) -> None:
    """With one message, before anything is written."""
    (tmp_path / "other.whl").write_text("")
    given = [str(tmp_path / "other.whl") if word == "WHEEL" else word for word in arguments]
    assert_refused(run_in_process("package", FASHION, *given, "--out", tmp_path / "out", "-q"), fragment)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["triton", "container", "lambda"])
def test_the_next_commands_can_be_pasted_where_the_path_holds_spaces(tmp_path: Path, kind: str) -> None:
    """Two words would be two arguments."""
    out = tmp_path / "my package"
    result = run_in_process("package", FASHION, "--for", kind, "--out", out)
    first, *_ = (line for line in result.stdout.splitlines() if line.startswith("next: "))
    assert shlex.split(first)[-1] == str(out)
