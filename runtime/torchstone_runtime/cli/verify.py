"""`torchstone verify`: is this the bundle that was exported, and does it still do what it did?"""

import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from torchstone_runtime.cli.components import require_component
from torchstone_runtime.cli.options import PROVIDER_OPTION, PUBLIC_KEY_OPTION, TF32_OPTION
from torchstone_runtime.data_dir import default_data_dir
from torchstone_runtime.errors import BundleError, CheckFailedError, MissingComponentError, UsageError

if TYPE_CHECKING:
    from torchstone_runtime.bundle import Bundle
    from torchstone_runtime.classifier import Classifier

HOOK_GROUP: Final = "torchstone.hooks"


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--run", "run", type=click.Path(path_type=Path), help="The training run: repeat the whole certificate.")
@click.option("--data", "dataset", help="The test data: repeat every decision (with --run also the validation data).")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where datasets lie [TORCHSTONE_DATA, or ./data].")
@PUBLIC_KEY_OPTION
@PROVIDER_OPTION
@TF32_OPTION
def verify(
    bundle: Path,
    run: Path | None,
    dataset: str | None,
    data_dir: Path | None,
    public_key: Path | None,
    provider: str,
    *,
    tf32: bool,
) -> None:
    """Check BUNDLE: sizes and SHA-256 of every file, and the golden samples on this machine.

    With --public-key, the bundle must be signed by that key. With --data, every decision over the test split is
    compared with those certified at the export. With --run, the certificate is made anew against the PyTorch model
    (needs torchstone[export]). Exit code 1 where a check fails.
    """
    require_component("cpu", "onnxruntime")
    from torchstone_runtime.bundle import Bundle  # noqa: PLC0415 - --help must not load NumPy

    if dataset is not None:
        from torchstone_runtime.data.catalog import DatasetRef  # noqa: PLC0415 - --help must not load NumPy

        DatasetRef.parse(dataset)  # a misspelt name is told before any work is done
    opened = Bundle.open(bundle)
    entries = opened.check_files()
    click.echo(f"files        {len(entries)} of {len(entries)} have the size and SHA-256 of the manifest")
    _check_signature(opened, public_key)
    for variant in opened.manifest.variants:
        _check_variant(opened, variant, provider, dataset, data_dir, tf32=tf32)
    if run is not None:
        _recertify(bundle, run, dataset, data_dir)
    click.echo("verified")


def _check_signature(opened: "Bundle", public_key: Path | None) -> None:
    from torchstone_runtime.signature import SIGNATURE_FILE, verify_signature  # noqa: PLC0415 - see verify

    if public_key is not None:
        count = verify_signature(opened, public_key)
        click.echo(f"signature    the key {public_key} signed all {count} files as they are")
    elif (opened.path / SIGNATURE_FILE).is_file():
        click.echo("signature    there is one; it is not checked without --public-key")


def _check_variant(
    opened: "Bundle", variant: str, provider: str, dataset: str | None, data_dir: Path | None, *, tf32: bool
) -> None:
    from torchstone_runtime.classifier import Classifier  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.cpu_features import cpu_features, missing_features  # noqa: PLC0415
    from torchstone_runtime.golden import variant_golden  # noqa: PLC0415

    try:
        opened.runnable_variant(variant)
    except UsageError:
        click.echo(f"{variant:<12} its hash is right; it is not run here (that takes PyTorch)")
        return
    missing = missing_features(opened.manifest.variants[variant].requires_any, cpu_features())
    if missing and provider in ("auto", "cpu"):
        click.echo(f"{variant:<12} its hash is right; it is not run here: {missing}")
        return
    with Classifier.load(opened.path, variant=variant, provider=provider, tf32=tf32, replay_golden=False) as classifier:
        samples, accepted = variant_golden(
            opened, variant, provider=classifier.plan.provider, tf32=classifier.plan.tf32
        )
        error = classifier.replay(samples, accepted)
        click.echo(
            f"{variant:<12} {len(samples.images)} golden samples decide as at export, on {classifier.plan.provider}; "
            f"largest logit difference {error:.2e} (accepted: {accepted:.2e})"
        )
        if dataset is not None:
            _check_decisions(opened, classifier, variant, dataset, data_dir)


def _check_decisions(
    opened: "Bundle", classifier: "Classifier", variant: str, dataset: str, data_dir: Path | None
) -> None:
    from torchstone_runtime.data.catalog import Dataset, DatasetRef  # noqa: PLC0415 - see verify
    from torchstone_runtime.evaluation import certified_test_split, evaluate  # noqa: PLC0415

    ref = DatasetRef.parse(dataset)
    names = classifier.class_names if ref.kind == "folder" else None
    source = Dataset(ref, data_dir or default_data_dir(), classifier.input_spec, names)
    certificate = opened.read_file("certificate")
    try:
        stated = json.loads(certificate)["variants"][variant]["splits"]["test"]
        certified_decisions, certified_accuracy = str(stated["decisions_sha256"]), float(stated["accuracy"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BundleError(f"The certificate is not valid: {error!r}.", "Export the bundle again.") from error
    split = certified_test_split(source, opened.manifest.provenance)
    found = evaluate(classifier, split)
    if found.decisions_sha256 != certified_decisions:
        raise CheckFailedError(
            f"{variant} does not decide as it was certified to: accuracy {found.metrics.accuracy:.4f}, "
            f"certified {certified_accuracy:.4f}.",
            "Don't rely on it on this machine; 'torchstone evaluate --predictions FILE.csv' shows every margin.",
        )
    click.echo(
        f"{variant:<12} all {len(split):,} test decisions are those of the certificate "
        f"(accuracy {found.metrics.accuracy:.4f})"
    )


def _recertify(bundle: Path, run: Path, dataset: str | None, data_dir: Path | None) -> None:
    hooks = {entry.name: entry for entry in importlib.metadata.entry_points(group=HOOK_GROUP)}
    if "recertify" not in hooks:
        raise MissingComponentError("--run needs the export part.", "Install it: pip install 'torchstone[cpu,export]'")
    hooks["recertify"].load()(bundle, run, dataset, data_dir)
