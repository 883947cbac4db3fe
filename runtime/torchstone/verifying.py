"""`torchstone.verify`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchstone.loading import BundleLike, bundle_path
from torchstone_runtime.certificate.verify import verify_bundle
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.inference.load_options import LoadOptions


@dataclass(frozen=True, slots=True)
class Verification:
    """A bundle that was checked and found right.

    Attributes:
        path: directory of the bundle.
        checks: a line on each thing that was checked, in order.
    """

    path: Path
    checks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"path": str(self.path), "checks": list(self.checks)}

    def __str__(self) -> str:
        return "\n".join((*self.checks, "verified"))

    def __repr__(self) -> str:
        return f"Verification({str(self.path)!r}, {len(self.checks)} checks)"


def verify(
    bundle: BundleLike,
    *,
    data: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    provider: str = "auto",
    tf32: bool = False,
    cpu_fallback: bool = False,
    public_key: str | os.PathLike[str] | None = None,
) -> Verification:
    """Check a bundle: sizes and SHA-256 of every file, golden samples, and with data every certified decision.

    Args:
        bundle: bundle that `export` returned, its path, or the name of a built-in one.
        data: data that it was certified on: `digits`, `fashion-mnist`, `mnist`, `folder:PATH` or `npz:FILE`; None
            leaves decisions and logits over it out.
        data_dir: directory of the downloaded datasets; `TORCHSTONE_DATA`, or `./data`, if None.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        tf32: permission for a GPU to compute in TF32.
        cpu_fallback: permission for the CPU to run the nodes that a provider asked for by name cannot run.
        public_key: PEM file of the key whose signature is required; None for none.

    Raises:
        BundleError: a file is missing, altered or not readable.
        CheckFailedError: golden samples, decisions or logits are not those of the export, or the signature is wrong.
        DataError: the data is missing, or not the certified one.
        ProviderError: the provider cannot be had.
    """
    options = LoadOptions(provider=provider, tf32=tf32, cpu_fallback=cpu_fallback, public_key=public_key)
    ref = DatasetRef.parse(data) if data is not None else None
    path = Path(bundle_path(bundle))
    lines = verify_bundle(bundle_path(bundle), options, ref, Path(data_dir) if data_dir is not None else None)
    return Verification(path, tuple(lines))
