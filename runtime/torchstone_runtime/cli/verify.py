"""`torchstone verify`: is this the bundle that was exported, and does it still do what it did?"""

import importlib.metadata
from pathlib import Path
from typing import Final

import click

from torchstone_runtime.cli.options import BUNDLE_PATH, PROVIDER_OPTION, PUBLIC_KEY_OPTION, TF32_OPTION
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import MissingComponentError, UsageError
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.text import showable

HOOK_GROUP: Final = "torchstone.hooks"


@click.command()
@click.argument("bundle", type=BUNDLE_PATH)
@click.option("--run", "run", type=click.Path(path_type=Path), help="The training run: repeat the whole certificate.")
@click.option("--fast", type=click.Path(path_type=Path), help="Of a cascade, with --run: the run of its fast model.")
@click.option("--data", "dataset", help="The test data: repeat every decision (with --run also the validation data).")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where datasets lie [TORCHSTONE_DATA, or ./data].")
@PUBLIC_KEY_OPTION
@PROVIDER_OPTION
@TF32_OPTION
def verify(
    bundle: Path,
    run: Path | None,
    fast: Path | None,
    dataset: str | None,
    data_dir: Path | None,
    public_key: Path | None,
    provider: str,
    *,
    tf32: bool,
) -> None:
    """Check BUNDLE: sizes and SHA-256 of every file, and the golden samples on this machine.

    With --public-key, the bundle must be signed by that key. With --data, decisions and logits over the test split are
    compared with those certified at the export; near-ties, which another processor may rightly decide otherwise, are
    listed. With --run, the certificate is made anew against the PyTorch model (needs torchstone[export]). Exit code 1
    where a check fails.
    """
    require_component("cpu", "onnxruntime")
    from torchstone_runtime.certificate.verify import verify_bundle  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.data.catalog import DatasetRef  # noqa: PLC0415

    if fast is not None and run is None:
        raise UsageError("--fast names one of a cascade's two runs.", "Name the other with --run.")
    ref = DatasetRef.parse(dataset) if dataset is not None else None  # a misspelt name is told before any work is done
    options = LoadOptions(provider=provider, tf32=tf32, public_key=public_key)
    for line in verify_bundle(bundle, options, ref, data_dir):
        click.echo(showable(line))
    if run is not None:
        _recertify(bundle, run, fast, dataset, data_dir)
    click.echo("verified")


def _recertify(bundle: Path, run: Path, fast: Path | None, dataset: str | None, data_dir: Path | None) -> None:
    hooks = {entry.name: entry for entry in importlib.metadata.entry_points(group=HOOK_GROUP)}
    if "recertify" not in hooks:
        raise MissingComponentError("--run needs the export part.", "Install it: pip install 'torchstone[cpu,export]'")
    hooks["recertify"].load()(bundle, run, fast, dataset, data_dir)
