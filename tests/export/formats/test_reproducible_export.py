"""The same run gives the same bytes wherever and by whomever it is exported, and nothing of the machine is inside."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from helpers.traces import found_in, traces_of_this_machine
from torchstone_export.bundle.signing import BundleSigner
from torchstone_runtime.bundle.bundle import Bundle

HOST, USER = "zanzibar-17", "kilroy"
_AS_NOBODY = 'hostname "$0" && exec unshare --user "$@"'
"""In a namespace of its own: another host name, and then a user without a name (65534)."""


def elsewhere() -> list[str]:
    """Return a command that runs another one as another user on another host; empty where the system permits none."""
    command = ["unshare", "--uts", "--user", "--map-root-user", "sh", "-c", _AS_NOBODY, HOST]
    try:
        permitted = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        permitted = False
    return command if permitted else []


@pytest.fixture(scope="module")
def exported_elsewhere(digits_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a copy of the run, exported by another user on another host, with other habits."""
    folder = tmp_path_factory.mktemp("elsewhere with spaces é")
    home, bundle = folder / "home" / USER, folder / "bundle"
    (home / "tmp").mkdir(parents=True)
    run = shutil.copytree(digits_run, home / "run-of-kilroy")
    environment = {
        **os.environ,
        "HOME": str(home),
        "USER": USER,
        "LOGNAME": USER,
        "HOSTNAME": HOST,
        "TMPDIR": str(home / "tmp"),
        "TZ": "Pacific/Kiritimati",
        "LANG": "tr_TR.UTF-8",
        "LC_ALL": "C",
        "PYTHONHASHSEED": "4711",
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "40",
        "SOURCE_DATE_EPOCH": "1",
    }
    export = [sys.executable, "-m", "torchstone_runtime", "export", str(run), "--out", str(bundle)]
    result = subprocess.run(
        [*elsewhere(), "sh", "-c", 'umask 077; exec "$@"', "sh", *export],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return bundle


def test_every_file_has_the_same_bytes(digits_bundle: Path, exported_elsewhere: Path) -> None:
    """Other user, host, home, folder, umask, time zone, language and hash seed."""

    def digests(folder: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    assert digests(exported_elsewhere) == digests(digits_bundle)


def test_nothing_of_the_machine_is_in_a_bundle(digits_bundle: Path, exported_elsewhere: Path) -> None:
    """No user, host, home, working, source or interpreter path, in no file and in no member of an archive."""
    here = traces_of_this_machine() | {str(digits_bundle.parent)}
    assert found_in(digits_bundle, here) == []
    assert found_in(exported_elsewhere, here | {HOST, USER, "Kiritimati", str(exported_elsewhere.parent)}) == []


def test_nothing_of_the_machine_is_in_a_signature(bundle_copy: Path, tmp_path: Path) -> None:
    """It names the model, not the folder; the key's own file is nowhere."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key-of-kilroy.pem").write_bytes(private)
    folder = bundle_copy.rename(tmp_path / "zanzibar-17")
    BundleSigner(tmp_path / "key-of-kilroy.pem").sign(Bundle.open(folder))
    assert found_in(folder, {HOST, USER, str(tmp_path), str(Path.cwd()), sys.prefix}) == []


def test_the_search_finds_what_is_hidden(bundle_copy: Path) -> None:
    """A name in a compressed member of an archive, or in a comment."""
    with zipfile.ZipFile(bundle_copy / "golden.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("note.txt", f"exported by {USER}")
    assert found_in(bundle_copy, {USER}) == [("golden.npz/note.txt", USER)]
