"""`torchstone verify`: is this the bundle that was exported, and does it still do what it did?"""

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import (
    BUNDLE_PATH,
    CPU_FALLBACK_OPTION,
    DATA_DIR_OPTION,
    FAST_HELP,
    PROVIDER_OPTION,
    PUBLIC_KEY_OPTION,
    TF32_OPTION,
    data_option,
    json_option,
)
from torchstone_runtime.cli.output import is_stdout, print_lines, print_result, require_writable
from torchstone_runtime.cli.server_options import RemoteOptions, server_options
from torchstone_runtime.components import install_line, require_component
from torchstone_runtime.errors import CheckFailedError, MissingComponentError, UsageError
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.text import showable

HOOK_GROUP: Final = "torchstone.hooks"


@command(
    examples=(
        "torchstone verify bundles/cnn3-1",
        "torchstone verify bundles/cnn3-1 --data fashion-mnist",
        "torchstone verify bundles/cnn3-1 --url http://localhost:8000",
    )
)
@click.argument("bundle", type=BUNDLE_PATH)
@option(
    "--run",
    group="Data",
    type=click.Path(path_type=Path),
    help="Training run of the bundle: compute the certificate again, against its PyTorch model.",
)
@option("--fast", group="Data", type=click.Path(path_type=Path), help=FAST_HELP)
@data_option()
@DATA_DIR_OPTION
@PUBLIC_KEY_OPTION
@PROVIDER_OPTION
@TF32_OPTION
@CPU_FALLBACK_OPTION
@server_options
@json_option
def verify(
    bundle: Path,
    run: Path | None,
    fast: Path | None,
    dataset: str | None,
    data_dir: Path | None,
    json_file: Path | None,
    remote: RemoteOptions | None,
    **loading: Any,  # noqa: ANN401 - the options of loading, as declared above
) -> None:
    """Check BUNDLE: size and SHA-256 of every file, and the golden samples on this machine.

    With --public-key, the bundle must be signed by that key. With --data, decisions and logits on the test split are
    compared with those certified at the export; near-ties, which may legitimately flip on another processor, are
    listed. With --run, the certificate is computed again with the PyTorch model (needs torchstone[export]). The exit
    code is 1 if a check fails.

    With --url, the golden samples go to a server of the Open Inference Protocol: torchstone serve, Triton, KServe,
    OpenVINO Model Server.
    """
    require_writable([json_file])
    if remote is not None:
        _refuse_beside_url({"--run": run, "--fast": fast, "--data": dataset})
        _show(bundle, _checks_of_server(bundle, remote, loading), json_file)
        return
    require_component("cpu", "onnxruntime")
    from torchstone_runtime.certificate.verify import verify_bundle
    from torchstone_runtime.data.catalog import DatasetRef

    if fast is not None and run is None:
        raise UsageError("--fast names one of a cascade's two runs.", "Name the other with --run.")
    ref = DatasetRef.parse(dataset) if dataset is not None else None  # a misspelt name is told before any work is done
    options = LoadOptions(**loading)
    checks = verify_bundle(bundle, options, ref, data_dir)
    if run is not None:
        checks = chain(checks, _recertify(bundle, run, fast, dataset, data_dir))
    _show(bundle, checks, json_file)


def _refuse_beside_url(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{name} is about this machine, --url about a server.", "Leave one of them out.")


def _checks_of_server(bundle: Path, remote: RemoteOptions, loading: Mapping[str, Any]) -> Iterator[str]:
    from torchstone_runtime.remote.verify_url import RemoteModel, verify_served_bundle

    provider = "cpu" if loading["provider"] == "auto" else loading["provider"]
    model = RemoteModel(
        remote.server(), remote.model, remote.model_version, remote.variant, provider, tf32=loading["tf32"]
    )
    return verify_served_bundle(bundle, model, loading["public_key"])


def _show(bundle: Path, checks: Iterable[str], json_file: Path | None) -> None:
    passed: list[str] = []
    try:
        for line in checks:
            passed.append(line)
            if not is_stdout(json_file):
                print_lines(showable(line))
    except CheckFailedError as error:
        _print_end(json_file, bundle, passed, error)
        raise
    _print_end(json_file, bundle, passed, None)


def _print_end(json_file: Path | None, bundle: Path, passed: list[str], error: CheckFailedError | None) -> None:
    document = {
        "bundle": str(bundle),
        "verified": error is None,
        "passed": passed,
        "failed": None if error is None else error.lines,
    }
    print_result(json_file, lambda: document, lambda: "verified" if error is None else "not verified")


def _recertify(bundle: Path, run: Path, fast: Path | None, dataset: str | None, data_dir: Path | None) -> Iterator[str]:
    hooks = {entry.name: entry for entry in importlib.metadata.entry_points(group=HOOK_GROUP)}
    if "recertify" not in hooks:
        raise MissingComponentError("--run needs the export part.", f"Install it: {install_line('cpu,export')}")
    yield from hooks["recertify"].load()(bundle, run, fast, dataset, data_dir)
