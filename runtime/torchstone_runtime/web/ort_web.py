"""onnxruntime-web from a user's own npm copy: which three files, of which versions, and whether they are unaltered."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import UsageError

INTERFACE: Final = "ort.wasm.min.mjs"
LOADER: Final = "ort-wasm-simd-threaded.mjs"
WASM: Final = "ort-wasm-simd-threaded.wasm"
_NAMES: Final = (INTERFACE, LOADER, WASM)
_MOST_BYTES: Final = 64 << 20

RECOMMENDED: Final = "1.30.0"
KNOWN: Final = {
    "1.22.0": (
        "6ef726f355b791129f7ddf3f62e7877a16b9b777abe87004b8ab306e6b9cf265",
        "30dd851d9c00622940500f71ddd2ff8820c5cb65270816080175b958705385a8",
        "71aef04959c5c1b6de461b6538e2058e306610034a85aad2742d0c7fd4533fe4",
    ),
    "1.23.2": (
        "69751720f611e37d1ce2fa3c6ebaa80f949014752636c5f8887a63d40feadcc7",
        "90a557d15c02bac4504d95b67f431d8594635ed2a0a62a7f2cd83d090ff91d3e",
        "45eaee27761ad883742a8d4b8fce1538d60ce43b51adf1726fafccc59b8c1a15",
    ),
    "1.24.2": (
        "45354c36400baab1565d16e51a29f6ef7b37cc7d834aab8d0af619bd6032d33a",
        "b538a29137066dbed1f0f449fb081dfd35ccde3d5b155adc34532cefa3b23ee2",
        "175fabe412fc7fd1376e3178861a47ebfdc30cedb3b2c3f6bb72c37d96c26f73",
    ),
    "1.25.1": (
        "71cb6a78b3989d8ef4f6f9cff7f88f72302590df8ef6fcefd48b5a01a14bf90f",
        "ad9ee5889344e212b8b83daf778fc75bc3a2293ca640ab5e54f756a25cef1fa6",
        "3cbf90f74a919ff82acd1c0171ff40d1170d928e9634a430e9f3fa6f35674464",
    ),
    "1.26.0": (
        "aeb30d22447d16a48d2e2f94acf1b85526d9af8dd9791f921482277d78de89c6",
        "2de262ca1fe2d6e0ef9236bf77632fa01de232ce7b6a33071c37637ee53f4669",
        "040d52ce5066707a10d45cb9500c35e70a9c2fb33c4fb63428da9ae45b956b97",
    ),
    "1.27.0": (
        "9608e98a3fba9716f0cbd0bca0c94808b71dae2e9265ca3fe742ddc393a53ebc",
        "0a1e718d99c41b22c21f2520ff4f9e883a6b5533856e398d21816ee8eb8185d3",
        "d1ab1b94b16a65b29d710d0b587b29e7bed336827577623913479b8afe8113e6",
    ),
    "1.29.0": (
        "14a0a63ad1a0fe8127722929fd16fb26c2e5352ea221bc9034d12daf314d0b92",
        "5a15f1fd086b3f6c2baf1f35105b8f502653b567e165cef80028870b39748747",
        "ec8580a9d7b9476ceee52e10a7f94124e4dc71a019d666ed6d4726697c109a4d",
    ),
    "1.30.0": (
        "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
}
"""SHA-256 of the three files by version, in the order interface, loader, WebAssembly: as npm has the packages."""


@dataclass(frozen=True, eq=False, slots=True)
class OrtWeb:
    """The files of onnxruntime-web that run a model on the processor.

    Attributes:
        version: its version.
        known: whether the files are those that `KNOWN` states for it.
        interface: the module that pages import; `loader`: the one that it imports; `wasm`: the WebAssembly.
    """

    version: str
    known: bool
    interface: bytes
    loader: bytes
    wasm: bytes

    @classmethod
    def read(cls, folder: Path, *, any_version: bool = False) -> "OrtWeb":
        """Read the files of an installed package.

        Args:
            folder: the package `node_modules/onnxruntime-web`, its `dist`, or the folder that holds `node_modules`.
            any_version: whether a version that is not known is taken as it is.

        Raises:
            UsageError: they aren't there, or are not the known ones.
        """
        dist = _find(folder)
        contents = tuple(_read(dist / name) for name in _NAMES)
        hashes = tuple(hashlib.sha256(content).hexdigest() for content in contents)
        stated = _stated_version(dist)
        version = next((version for version, expected in KNOWN.items() if expected == hashes), None)
        if version is None and stated in KNOWN:
            altered = [name for name, found, right in zip(_NAMES, hashes, KNOWN[stated], strict=True) if found != right]
            raise UsageError(
                f"{dist / altered[0]} is not the file of onnxruntime-web {stated}: its SHA-256 differs.",
                f"Reinstall it: npm install onnxruntime-web@{stated}",
            )
        if version is None and not any_version:
            raise UsageError(
                f"{dist} holds onnxruntime-web {stated or 'of an unstated version'}, which is not a known version.",
                f"Known versions: {', '.join(KNOWN)}. Run npm install onnxruntime-web@{RECOMMENDED}\n"
                "or accept it as it is with --any-version.",
            )
        return cls(version or stated or "unknown", version is not None, *contents)


def _find(folder: Path) -> Path:
    places = (folder, folder / "dist", folder / "node_modules" / "onnxruntime-web" / "dist")
    found = next((place for place in places if (place / INTERFACE).is_file()), None)
    if found is None:
        raise UsageError(
            f"{folder} holds no onnxruntime-web: {INTERFACE} is neither there nor in its folder dist.",
            f"Install it: npm install onnxruntime-web@{RECOMMENDED}; then give --ort-web node_modules/onnxruntime-web",
        )
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", "Reinstall onnxruntime-web.") from error
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{path} has more than {_MOST_BYTES >> 20} MiB.", "Reinstall onnxruntime-web.")
    return content


def _stated_version(dist: Path) -> str | None:
    try:
        version = json.loads((dist.parent / "package.json").read_bytes())["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) else None
