"""Who made a bundle: its signature in the format of OpenSSF Model Signing 1.0, checked against a public key.

`model.sig` is a Sigstore bundle with a DSSE envelope over an in-toto statement that lists every file with its SHA-256
(https://github.com/ossf/model-signing-spec). The package `model-signing` reads it and does the cryptography; here is
only what ties its answer to the bytes that Torchstone uses. It needs no network.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from torchstone_runtime.bundle.bundle import Bundle, read_regular
from torchstone_runtime.bundle.manifest import MANIFEST_FILE
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import BundleError, CheckFailedError, UsageError, first_line
from torchstone_runtime.system.thread_output import own_output_to

if TYPE_CHECKING:
    from model_signing.hashing import Config as HashingConfig

SIGNATURE_FILE: Final = "model.sig"
SIGNING_PACKAGES: Final = ("model_signing", "OpenSSL")
"""model-signing 1.1.1 imports pyOpenSSL without requiring it."""
_MAX_SIGNATURE_BYTES: Final = 16 << 20
_NOT_SIGNED: Final = frozenset({SIGNATURE_FILE, ".git", ".gitattributes", ".github", ".gitignore"})
"""What the standard leaves out by default; the runtime reads none of it."""
_CHUNK: Final = 1 << 20
_KEY_REMEDY: Final = "Give the PEM file of a P-256, P-384 or P-521 public key."
_UNSIGNED_REMEDY: Final = "Ask for a signed bundle (torchstone export --sign KEY), or leave the public key out."


def verify_signature(bundle: Bundle, public_key: Path) -> int:
    """Check that the holder of a key signed exactly this bundle, and return the number of files signed.

    Every file of the directory must be signed, every signed file must be there, and every one must be as it was
    signed. The manifest counts with the bytes that `bundle` was read from, and what the manifest lists with the
    SHA-256 stated there, which `Bundle.read` enforces at each reading: so what is used later is what was signed, even
    if the directory is altered in between.

    Args:
        bundle: bundle with an opened manifest.
        public_key: a PEM file with an elliptic-curve key (P-256, P-384 or P-521).

    Raises:
        BundleError: a file is missing, or not what the manifest states.
        CheckFailedError: there is no signature, it is of another key, or the bundle is not what was signed.
        MissingComponentError: `torchstone[sign]` is not installed.
        UsageError: the public key cannot be used.
    """
    require_component("sign", *SIGNING_PACKAGES)
    from model_signing import verifying  # noqa: PLC0415 - optional, and half a second

    if not public_key.exists():
        raise UsageError(f"There is no public key at {public_key}.", _KEY_REMEDY)
    verifier = verifying.Config()
    try:
        verifier.use_elliptic_key_verifier(public_key=public_key)
    except Exception as error:  # cryptography has a dozen classes for what is no key
        raise UsageError(
            f"{public_key} is not a usable public key: {first_line(error).rstrip('.?')}.", _KEY_REMEDY
        ) from error
    digests = _digests(bundle)
    verifier.set_hashing_config(hashing_of(bundle.manifest.name, digests))
    with _signature_copy(bundle.path) as signature:
        try:
            # It warns with print(), which would get between the lines of `--json -`.
            with own_output_to(sys.stderr, "stdout"):
                verifier.verify(bundle.path, signature)
        except Exception as error:  # whatever it is, the signature does not hold
            raise CheckFailedError(
                f"The signature of {bundle.path} does not hold for {public_key}: {_reason(error)}.",
                "Don't use this bundle; get it again from a source you trust, or ask which key signed it.",
            ) from error
    return len(digests)


def hashing_of(name: str, digests: dict[str, str]) -> "HashingConfig":
    """Return what tells `model-signing` the digests of a model, in place of reading its directory.

    Args:
        name: name of the model, written into a signature.
        digests: SHA-256, hexadecimal, by file name.
    """
    from model_signing import hashing, manifest  # noqa: PLC0415 - optional
    from model_signing._hashing.hashing import Digest  # noqa: PLC0415 - the public API has no name for it

    class GivenDigests(hashing.Config):
        def hash(self, model_path: Any, *, files_to_hash: Any = None) -> manifest.Manifest:  # noqa: ANN401
            del model_path, files_to_hash
            ignored = sorted(_NOT_SIGNED)
            arguments = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": ignored}
            items = [
                manifest.FileManifestItem(path=PurePosixPath(file), digest=Digest("sha256", bytes.fromhex(digest)))
                for file, digest in digests.items()
            ]
            return manifest.Manifest(name, items, manifest.SerializationType.from_args(arguments))

    return GivenDigests()  # type: ignore[no-untyped-call]  # the constructor that it inherits lacks annotations


def file_digests(bundle: Bundle) -> dict[str, str]:
    """Return the SHA-256 of every file to be signed, by name, each checked against the manifest where it lists it."""
    return _digests(bundle)


def _digests(bundle: Bundle) -> dict[str, str]:
    digests = {MANIFEST_FILE: bundle.manifest_sha256}
    digests |= {entry.name: entry.sha256 for entry in bundle.check_files()}
    for path in sorted(bundle.path.iterdir()):
        if path.name not in digests and path.name not in _NOT_SIGNED:
            digests[path.name] = _sha256(path)
    return digests


def _sha256(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        raise CheckFailedError(
            f"{path} is not a regular file, and a signature covers only those.", "Remove it from the bundle."
        )
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _signature_copy(folder: Path) -> Iterator[Path]:
    if not os.path.lexists(folder / SIGNATURE_FILE):
        raise CheckFailedError(f"A signature is required, but {folder} is not signed.", _UNSIGNED_REMEDY)
    try:
        content = read_regular(folder / SIGNATURE_FILE, _MAX_SIGNATURE_BYTES)
    except BundleError as error:
        raise CheckFailedError(
            f"A signature is required, but that of {folder} can't be read: {error.problem}", _UNSIGNED_REMEDY
        ) from error
    with tempfile.TemporaryDirectory() as copies:
        copy = Path(copies, SIGNATURE_FILE)
        copy.write_bytes(content)
        yield copy


def _reason(error: Exception) -> str:
    text = str(error).strip().removesuffix(".")
    if type(error).__name__ == "InvalidSignature":
        return "it is not the signature of this key over this content"
    if isinstance(error, KeyError | json.JSONDecodeError | UnicodeDecodeError | RecursionError) or not text:
        return f"{SIGNATURE_FILE} is not a signature ({type(error).__name__})"
    return first_line(error).removesuffix(".")
