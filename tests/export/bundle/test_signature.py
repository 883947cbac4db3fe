"""Signatures: made at export, required at loading, and the same to OpenSSF's own tool."""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from helpers.in_process import run_in_process
from helpers.support import assert_refused, run_torchstone
from torchstone_export.bundle.signing import BundleSigner
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.signature import SIGNATURE_FILE, verify_signature
from torchstone_runtime.errors import BundleError, CheckFailedError, UsageError
from torchstone_runtime.inference.classifier import Classifier


def write_keys(folder: Path, name: str, curve: ec.EllipticCurve | None = None, password: str = "") -> tuple[Path, Path]:
    """Write a new pair of keys as PEM files and return (private, public)."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    protection = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    pem = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, protection))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private and a public key, P-256."""
    return write_keys(tmp_path_factory.mktemp("keys"), "mine")


@pytest.fixture(scope="module")
def signed_once(digits_bundle: Path, keys: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed bundle. Don't change it."""
    bundle = shutil.copytree(digits_bundle, tmp_path_factory.mktemp("signed") / "bundle")
    BundleSigner(keys[0]).sign(Bundle.open(bundle))
    return bundle


@pytest.fixture
def signed(signed_once: Path, tmp_path: Path) -> Path:
    """A signed bundle of one's own, to be tampered with."""
    return shutil.copytree(signed_once, tmp_path / "bundle")


def model_signing(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run OpenSSF's own command line."""
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_signed_bundle_loads_with_its_public_key(signed: Path, keys: tuple[Path, Path]) -> None:
    """And all files are counted: five of the manifest and the manifest."""
    assert verify_signature(Bundle.open(signed), keys[1]) == 7
    Classifier.load(signed, public_key=keys[1]).close()


def test_openssf_s_tool_accepts_our_signature(signed: Path, keys: tuple[Path, Path]) -> None:
    """`model_signing verify key` knows nothing of Torchstone."""
    result = model_signing("verify", "key", signed, "--signature", signed / SIGNATURE_FILE, "--public_key", keys[1])
    assert result.returncode == 0, result.stderr + result.stdout


def test_openssf_s_tool_refuses_what_was_altered(signed: Path, keys: tuple[Path, Path]) -> None:
    """So that the test above can fail."""
    (signed / "README.md").write_text("other")
    result = model_signing("verify", "key", signed, "--signature", signed / SIGNATURE_FILE, "--public_key", keys[1])
    assert result.returncode != 0


def test_a_signature_of_openssf_s_tool_is_accepted(bundle_copy: Path, keys: tuple[Path, Path]) -> None:
    """Whoever signs with it elsewhere needs no Torchstone there."""
    signature = bundle_copy / SIGNATURE_FILE
    result = model_signing("sign", "key", bundle_copy, "--signature", signature, "--private_key", keys[0])
    assert result.returncode == 0, result.stderr
    Classifier.load(bundle_copy, public_key=keys[1]).close()


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_the_larger_curves_sign_as_well(bundle_copy: Path, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    """P-384 and P-521."""
    private, public = write_keys(tmp_path, "large", curve)
    BundleSigner(private).sign(Bundle.open(bundle_copy))
    Classifier.load(bundle_copy, public_key=public).close()


def alter_and_update_manifest(bundle: Path) -> None:
    """Alter the model card and make the manifest agree, as only somebody with intent does."""
    import hashlib

    content = (bundle / "README.md").read_bytes() + b"!"
    (bundle / "README.md").write_bytes(content)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"]["model_card"] |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (bundle / "manifest.json").write_text(json.dumps(manifest, indent=2))


def swap_payload(bundle: Path) -> None:
    """Put the altered hashes into the signed statement, under the old signature."""
    before = Bundle.open(bundle)
    alter_and_update_manifest(bundle)
    after = Bundle.open(bundle)
    signature = json.loads((bundle / SIGNATURE_FILE).read_text())
    payload = base64.b64decode(signature["dsseEnvelope"]["payload"]).decode()
    for old, new in (
        (before.manifest_sha256, after.manifest_sha256),
        (before.manifest.files["model_card"].sha256, after.manifest.files["model_card"].sha256),
    ):
        payload = payload.replace(old, new)
    signature["dsseEnvelope"]["payload"] = base64.b64encode(payload.encode()).decode()
    (bundle / SIGNATURE_FILE).write_text(json.dumps(signature))


def link_to_signature(bundle: Path) -> None:
    """Put a link in the place of the signature."""
    (bundle / SIGNATURE_FILE).rename(bundle.parent / "moved.sig")
    (bundle / SIGNATURE_FILE).symlink_to(bundle.parent / "moved.sig")


TAMPERING: dict[str, Callable[[Path], object]] = {
    "a space in the manifest": lambda b: (b / "manifest.json").write_bytes((b / "manifest.json").read_bytes() + b" "),
    "a file and the manifest": alter_and_update_manifest,
    "a file, the manifest and the statement": swap_payload,
    "an added file": lambda b: (b / "extra.txt").write_text("x"),
    "an added hidden file": lambda b: (b / ".extra").write_text("x"),
    "an added folder": lambda b: (b / "folder").mkdir(),
    "an added link": lambda b: (b / "link").symlink_to("manifest.json"),
    "no signature": lambda b: (b / SIGNATURE_FILE).unlink(),
    "a link to the signature": link_to_signature,
    "an empty signature": lambda b: (b / SIGNATURE_FILE).write_text(""),
    "a signature that is JSON and no signature": lambda b: (b / SIGNATURE_FILE).write_text("[]"),
    "a signature that is not text": lambda b: (b / SIGNATURE_FILE).write_bytes(b"\xff\xfe"),
    "a deeply nested signature": lambda b: (b / SIGNATURE_FILE).write_text("[" * 100_000),
    "half a signature": lambda b: (b / SIGNATURE_FILE).write_text((b / SIGNATURE_FILE).read_text()[:900]),
}


@pytest.mark.parametrize("tamper", TAMPERING.values(), ids=TAMPERING.keys())
def test_tampering_refuses_to_load(signed: Path, keys: tuple[Path, Path], tamper: Callable[[Path], object]) -> None:
    """Also where the manifest was made to agree, so that every hash is right."""
    tamper(signed)
    Classifier.load(signed).close()  # without a required signature nothing is wrong
    with pytest.raises(CheckFailedError):
        Classifier.load(signed, public_key=keys[1])


@pytest.mark.parametrize("name", ["model.onnx", "model.torchscript.pt", "golden.npz", "certificate.json", "README.md"])
@pytest.mark.parametrize("remove", [False, True])
def test_every_file_counts_even_one_that_is_not_used(
    signed: Path, keys: tuple[Path, Path], name: str, remove: bool
) -> None:
    """Altered or removed: refused, named."""
    content = bytearray((signed / name).read_bytes())
    content[len(content) // 2] ^= 1
    (signed / name).unlink() if remove else (signed / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        Classifier.load(signed, public_key=keys[1])


def test_what_git_keeps_beside_a_bundle_is_left_out(signed: Path, keys: tuple[Path, Path]) -> None:
    """As in the standard: a bundle cloned from a repository still verifies. None of it is ever read."""
    (signed / ".git").mkdir()
    (signed / ".gitattributes").write_text("*.onnx filter=lfs")
    Classifier.load(signed, public_key=keys[1]).close()


def test_the_signature_of_another_key_is_refused(signed: Path, tmp_path: Path) -> None:
    """A good signature, by somebody else."""
    _, public = write_keys(tmp_path, "other")
    with pytest.raises(CheckFailedError, match="does not hold for"):
        Classifier.load(signed, public_key=public)


def test_a_signature_that_names_our_key_and_is_of_another_is_refused(signed: Path, tmp_path: Path) -> None:
    """The hint of the key in the file is not what is trusted."""
    private, public = write_keys(tmp_path, "other")
    hint = json.loads((signed / SIGNATURE_FILE).read_text())["verificationMaterial"]
    (signed / SIGNATURE_FILE).unlink()
    BundleSigner(private).sign(Bundle.open(signed))
    forged = json.loads((signed / SIGNATURE_FILE).read_text()) | {"verificationMaterial": hint}
    (signed / SIGNATURE_FILE).write_text(json.dumps(forged))
    with pytest.raises(CheckFailedError):
        Classifier.load(signed, public_key=public)


def test_the_signature_of_another_bundle_is_refused(
    signed: Path, digits_bundle: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    """A replay: the key is right, the bundle is not."""
    other = shutil.copytree(digits_bundle, tmp_path / "other")
    alter_and_update_manifest(other)
    shutil.copy(signed / SIGNATURE_FILE, other)
    with pytest.raises(CheckFailedError, match="Signature mismatch"):
        Classifier.load(other, public_key=keys[1])


def test_what_is_swapped_after_the_check_is_not_used(
    signed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes that are run are compared with the signed manifest once more when they are read."""
    import torchstone_runtime.bundle.signature

    def verify_then_swap(bundle: Bundle, public_key: Path) -> int:
        count = verify_signature(bundle, public_key)
        alter_and_update_manifest(signed)
        model = (signed / "model.onnx").read_bytes()
        (signed / "model.onnx").write_bytes(model[:-1] + bytes([model[-1] ^ 1]))
        return count

    monkeypatch.setattr(torchstone_runtime.bundle.signature, "verify_signature", verify_then_swap)
    with pytest.raises(BundleError, match=r"model\.onnx is not the file that was exported"):
        Classifier.load(signed, public_key=keys[1])


def test_hashes_cannot_be_left_out_where_a_signature_is_required(signed: Path, keys: tuple[Path, Path]) -> None:
    """The signature would say nothing of what is run."""
    with pytest.raises(UsageError, match="through its hash"):
        Classifier.load(signed, public_key=keys[1], check_hashes=False)


def test_a_lone_file_cannot_be_signed(signed: Path, keys: tuple[Path, Path]) -> None:
    """A required signature is never passed over."""
    with pytest.raises(UsageError, match="only a bundle can be signed"):
        Classifier.load(signed / "model.onnx", public_key=keys[1])


def test_keys_that_cannot_be_used_are_refused(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """Missing, no key, one in place of the other, another kind."""
    (tmp_path / "text.pem").write_text("no key")
    edwards = ed25519.Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    (tmp_path / "ed.pem").write_bytes(
        edwards.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    for public in (tmp_path / "text.pem", keys[0], tmp_path):
        with pytest.raises(UsageError, match="is not a usable public key"):
            Classifier.load(signed, public_key=public)
    with pytest.raises(UsageError, match="There is no public key at"):
        Classifier.load(signed, public_key=tmp_path / "missing")
    for private in (tmp_path / "missing", tmp_path / "text.pem", keys[1], tmp_path / "ed.pem"):
        with pytest.raises(UsageError, match="cannot be signed with"):
            BundleSigner(private)


def test_an_encrypted_key_without_a_password_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can be asked."""
    private, _ = write_keys(tmp_path, "mine", password="secret")  # noqa: S106 - of a key that lives for this test
    monkeypatch.delenv("TORCHSTONE_SIGN_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115, PTH123 - pytest's own stdin can't be asked
    with pytest.raises(UsageError, match="TORCHSTONE_SIGN_PASSWORD"):
        BundleSigner(private)


def test_the_command_line_signs_verifies_and_refuses(small_run: Path, small_bundle: Path, tmp_path: Path) -> None:
    """With an encrypted key; everything but the signature has the bytes of an unsigned export."""
    private, public = write_keys(tmp_path, "mine", password="secret")  # noqa: S106 - of a key that lives for this test
    bundle = tmp_path / "bundle"
    command = ("export", small_run, "--out", bundle, "--sign", private)
    assert_refused(run_torchstone(*command, env={"TORCHSTONE_SIGN_PASSWORD": "wrong"}), "cannot be signed with")
    assert not bundle.exists()
    exported = run_torchstone(*command, env={"TORCHSTONE_SIGN_PASSWORD": "secret"})
    assert exported.returncode == 0, exported.stderr

    files = {path.name for path in bundle.iterdir()} - {SIGNATURE_FILE}
    assert files == {path.name for path in small_bundle.iterdir()}
    assert all((bundle / name).read_bytes() == (small_bundle / name).read_bytes() for name in files)
    verified = run_torchstone("verify", bundle, "--public-key", public)
    assert verified.returncode == 0, verified.stderr
    assert "valid signature by" in verified.stdout
    assert "not checked without --public-key" in run_in_process("verify", bundle).stdout
    for name, *rest in (("verify",), ("evaluate", "--data", "digits"), ("predict", "x.png")):
        unsigned = run_in_process(name, small_bundle, *rest, "--public-key", public)
        assert unsigned.returncode == 1
        assert "is not signed" in unsigned.stderr
        assert "Traceback" not in unsigned.stderr


def test_a_signed_bundle_can_be_exported_to_again(small_run: Path, signed: Path) -> None:
    """Its signature is a part of it; the new bundle is unsigned and does not keep the old signature."""
    result = run_torchstone("export", small_run, "--out", signed)
    assert result.returncode == 0, result.stderr
    assert not (signed / SIGNATURE_FILE).exists()


def test_without_the_package_the_message_names_the_install_line(signed: Path, keys: tuple[Path, Path]) -> None:
    """In a process that cannot import it, as on a machine with torchstone[cpu] alone; without a key it works."""
    script = (
        "import sys\n"
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'model_signing' else found(name, *rest)\n"
        "sys.modules['model_signing'] = None\n"
        "from torchstone_runtime.cli.main import main\n"
        "main(sys.argv[1:])"
    )

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", script, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))

    assert run("verify", signed).returncode == 0
    result = run("evaluate", signed, "--data", "digits", "--public-key", keys[1])
    assert_refused(result, "pip install '.[sign]'")
