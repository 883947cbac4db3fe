"""Signing a bundle with a private key, in the format of OpenSSF Model Signing (docs/how-to/signing.md)."""

import os
import sys
from pathlib import Path
from typing import Final

import click

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.signature import SIGNATURE_FILE, SIGNING_PACKAGES, file_digests, hashing_of
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import UsageError

PASSWORD_VARIABLE: Final = "TORCHSTONE_SIGN_PASSWORD"  # noqa: S105 - the variable's name


class BundleSigner:
    """A private key, read and tried before any work is done.

    Args:
        private_key: a PEM file with an elliptic-curve key (P-256, P-384 or P-521).

    Raises:
        MissingComponentError: `torchstone[sign]` is not installed.
        UsageError: the key cannot be read or used, or its password is missing or wrong.
    """

    def __init__(self, private_key: Path) -> None:
        require_component("sign", *SIGNING_PACKAGES)
        from model_signing import signing  # noqa: PLC0415 - optional

        try:
            password = _password(private_key.read_bytes())
            self._config = signing.Config()
            # It hands the password to cryptography as it is, and that takes bytes.
            self._config.use_elliptic_key_signer(private_key=private_key, password=password)  # type: ignore[arg-type]
        except UsageError:
            raise
        except Exception as error:  # cryptography has a dozen classes for what is no key
            raise UsageError(
                f"{private_key} cannot be signed with: {error}.",
                f"Give the PEM file of a P-256, P-384 or P-521 private key; its password comes from "
                f"{PASSWORD_VARIABLE} or is asked for.",
            ) from error

    def sign(self, bundle: Bundle) -> None:
        """Write `model.sig` into the bundle: it covers every other file, the manifest included."""
        self._config.set_hashing_config(hashing_of(bundle.manifest.name, file_digests(bundle)))
        self._config.sign(bundle.path, bundle.path / SIGNATURE_FILE)


def _password(key: bytes) -> bytes | None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - optional

    try:
        load_pem_private_key(key, None)
    except TypeError:  # what cryptography raises for a key that is encrypted
        given = os.environ.get(PASSWORD_VARIABLE)
        if given is None and not sys.stdin.isatty():
            raise UsageError("The private key is encrypted.", f"Put its password into {PASSWORD_VARIABLE}.") from None
        if given is None:
            given = click.prompt("Password of the private key", hide_input=True, err=True)
        return str(given).encode()
    return None
