"""`torchstone.verify`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchstone.loading import BundleLike, bundle_path
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.certificate.verify import verify_bundle
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import UsageError
from torchstone_runtime.frames import make_frame
from torchstone_runtime.html_table import html_table
from torchstone_runtime.hub.hub_address import is_hub_address
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.remote.server_address import ServerAddress
from torchstone_runtime.remote.verify_url import RemoteModel, verify_served_bundle


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

    def to_pandas(self) -> Any:  # noqa: ANN401 - a pandas.DataFrame, where pandas is installed
        """Return the checks as a pandas DataFrame: a row per check, in the column `check`.

        Raises:
            MissingComponentError: pandas is not installed.
        """
        return make_frame({"check": list(self.checks)})

    def __str__(self) -> str:
        return "\n".join((*self.checks, "verified"))

    def __repr__(self) -> str:
        return f"Verification({str(self.path)!r}, {len(self.checks)} checks)"

    def _repr_html_(self) -> str:
        return html_table((f"{self.path}: verified",), [(check,) for check in self.checks])


def verify(
    bundle: BundleLike,
    *,
    data: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    provider: str = "auto",
    tf32: bool = False,
    cpu_fallback: bool = False,
    public_key: str | os.PathLike[str] | None = None,
    url: str | None = None,
    model: str | None = None,
    variant: str | None = None,
    timeout: float = 30.0,
) -> Verification:
    """Check a bundle: sizes and SHA-256 of every file, golden samples, and with data every certified decision.

    With `url`, the golden samples are sent to a server of the Open Inference Protocol in place of a session here.

    Args:
        bundle: bundle that `export` returned, its path, or the name of a built-in one.
        data: data that it was certified on: `digits`, `fashion-mnist`, `mnist`, `folder:PATH` or `npz:FILE`; None
            leaves decisions and logits over it out.
        data_dir: directory of the downloaded datasets; `TORCHSTONE_DATA`, or `./data`, if None.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        tf32: permission for a GPU to compute in TF32.
        cpu_fallback: permission for the CPU to run the nodes that a provider asked for by name cannot run.
        public_key: PEM file of the key whose signature is required; None for none.
        url: address of the server, such as `http://localhost:8000`; None for this machine. `provider` and `tf32` then
            say what the server runs on, whose tolerance counts.
        model: name of the model on the server; None for the only one, or the one that is called as the bundle's.
        variant: variant that the server must run; any of the bundle's if None.
        timeout: seconds that a request to the server may take.

    Raises:
        BundleError: a file is missing, altered or not readable.
        CheckFailedError: golden samples, decisions or logits are not those of the export, or the signature is wrong.
        DataError: the data is missing, or not the certified one.
        ProviderError: the provider is not available.
        RemoteError: the server can't be reached, has no such model, or doesn't answer as the protocol says.
        UsageError: `data` or no server for what belongs to one, or an address that is none.
    """
    given = bundle_path(bundle)
    path = locate_bundle(given) if is_hub_address(given) else Path(given)
    if url is not None:
        if data is not None:
            raise UsageError("data is about this machine, url about a server.", "Leave one of them out.")
        served = "cpu" if provider == "auto" else provider
        remote = RemoteModel(ServerAddress.parse(url, timeout), model, None, variant, served, tf32=tf32)
        return Verification(path, tuple(verify_served_bundle(given, remote, public_key)))
    if model is not None or variant is not None:
        raise UsageError("model and variant are about a server.", "Name it with url.")
    options = LoadOptions(provider=provider, tf32=tf32, cpu_fallback=cpu_fallback, public_key=public_key)
    ref = DatasetRef.parse(data) if data is not None else None
    lines = verify_bundle(given, options, ref, Path(data_dir) if data_dir is not None else None)
    return Verification(path, tuple(lines))
