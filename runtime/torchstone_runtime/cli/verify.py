"""`torchstone verify`: is this the bundle that was exported, and does it still do what it did?"""

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from torchstone_runtime.cli.find_split import open_dataset
from torchstone_runtime.cli.options import BUNDLE_PATH, PROVIDER_OPTION, PUBLIC_KEY_OPTION, TF32_OPTION
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import BundleError, MissingComponentError, UsageError
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.text import showable

if TYPE_CHECKING:
    from torchstone_runtime.bundle.bundle import Bundle
    from torchstone_runtime.certificate.recheck import Recheck
    from torchstone_runtime.inference.classifier import Classifier

HOOK_GROUP: Final = "torchstone.hooks"
_TIES_SHOWN: Final = 10


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
    from torchstone_runtime.bundle.bundle import Bundle  # noqa: PLC0415 - --help must not load NumPy

    if fast is not None and run is None:
        raise UsageError("--fast names one of a cascade's two runs.", "Name the other with --run.")
    if dataset is not None:
        from torchstone_runtime.data.catalog import DatasetRef  # noqa: PLC0415 - --help must not load NumPy

        DatasetRef.parse(dataset)  # a misspelt name is told before any work is done
    opened = Bundle.open(bundle)
    contents, loading = _read_files(opened), LoadOptions(provider=provider, tf32=tf32)
    _check_signature(opened, public_key)
    for variant in opened.manifest.variants:
        _check_variant(opened, variant, contents, loading, dataset, data_dir)
    if run is not None:
        _recertify(bundle, run, fast, dataset, data_dir)
    click.echo("verified")


def _check_signature(opened: "Bundle", public_key: Path | None) -> None:
    from torchstone_runtime.bundle.signature import SIGNATURE_FILE, verify_signature  # noqa: PLC0415 - see verify

    if public_key is not None:
        count = verify_signature(opened, public_key)
        click.echo(showable(f"signature    the key {public_key} signed all {count} files as they are"))
    elif (opened.path / SIGNATURE_FILE).is_file():
        click.echo("signature    there is one; it is not checked without --public-key")


def _read_files(opened: "Bundle") -> dict[str, bytes]:
    # Each file is read once, and what was hashed is what is used.
    entries = {**opened.manifest.variants, **opened.manifest.files}
    used = {"golden", "certificate", *(name for name in opened.manifest.variants if _runs_here(opened, name))}
    contents = {}
    for name, entry in entries.items():
        content = opened.read(entry)
        if name in used:
            contents[name] = content
    click.echo(f"files        {len(entries)} of {len(entries)} have the size and SHA-256 of the manifest")
    return contents


def _runs_here(opened: "Bundle", variant: str) -> bool:
    try:
        opened.runnable_variant(variant)
    except UsageError:
        return False
    return True


def _check_variant(
    opened: "Bundle",
    variant: str,
    contents: dict[str, bytes],
    loading: LoadOptions,
    dataset: str | None,
    data_dir: Path | None,
) -> None:
    from torchstone_runtime.bundle.golden import golden_of  # noqa: PLC0415
    from torchstone_runtime.inference.classifier import Classifier  # noqa: PLC0415 - --help must not load NumPy
    from torchstone_runtime.system.cpu import cpu_features, missing_features  # noqa: PLC0415

    if variant not in contents:
        click.echo(f"{variant:<12} its hash is right; it is not run here (that takes PyTorch)")
        return
    missing = missing_features(opened.manifest.variants[variant].requires_any, cpu_features())
    if missing and loading.provider in ("auto", "cpu"):
        click.echo(f"{variant:<12} its hash is right; it is not run here: {missing}")
        return
    with Classifier.from_content(opened, variant, contents[variant], loading) as classifier:
        golden, plan = _needed(contents, "golden"), classifier.plan
        samples, accepted = golden_of(opened.manifest, variant, golden, provider=plan.provider, tf32=plan.tf32)
        error = classifier.replay(samples, accepted)
        click.echo(
            f"{variant:<12} {len(samples.images)} golden samples decide as at export, on {classifier.plan.provider}; "
            f"largest logit difference {error:.2e} (accepted: {accepted:.2e})"
        )
        if dataset is not None:
            _recheck(opened, classifier, _needed(contents, "certificate"), dataset, data_dir)


def _needed(contents: dict[str, bytes], purpose: str) -> bytes:
    if purpose not in contents:
        raise BundleError(f"The bundle has no {purpose} file.", "Export it again.")
    return contents[purpose]


def _recheck(
    opened: "Bundle", classifier: "Classifier", certificate: bytes, dataset: str, data_dir: Path | None
) -> None:
    from torchstone_runtime.certificate.recheck import read_certified_test, recheck_test  # noqa: PLC0415
    from torchstone_runtime.evaluation.evaluate import certified_test_split  # noqa: PLC0415 - see verify

    variant, class_names = classifier.plan.variant, classifier.class_names
    certified = read_certified_test(certificate, variant, class_names)
    source = open_dataset(classifier, dataset, data_dir)
    split = certified_test_split(source, opened.manifest.provenance)
    for line in _describe(recheck_test(classifier, split, certified)):
        click.echo(showable(f"{variant:<12} {line}"))


def _describe(found: "Recheck") -> list[str]:
    settled = found.samples - len(found.otherwise)
    count = f"all {settled:,}" if not found.otherwise else f"{settled:,} of {found.samples:,}"
    lines = [f"{count} test decisions are those of the certificate (accuracy {found.accuracy:.4f})"]
    lines += [
        f"near-tie     sample {sample}: {here} here, {certified} in exact arithmetic; both within the accepted error"
        for sample, certified, here in found.otherwise[:_TIES_SHOWN]
    ]
    if found.rms_error is not None:
        lines.append(f"logit error {found.rms_error:.2e} (root mean square; accepted: {found.rms_tolerance:.2e})")
    return lines


def _recertify(bundle: Path, run: Path, fast: Path | None, dataset: str | None, data_dir: Path | None) -> None:
    hooks = {entry.name: entry for entry in importlib.metadata.entry_points(group=HOOK_GROUP)}
    if "recertify" not in hooks:
        raise MissingComponentError("--run needs the export part.", "Install it: pip install 'torchstone[cpu,export]'")
    hooks["recertify"].load()(bundle, run, fast, dataset, data_dir)
