"""`torchstone package`: a bundle as other systems take it."""

from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

import click

from torchstone_runtime.bundle.builtin import bundle_argument
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import (
    BUNDLE_PATH,
    FILE,
    MAX_BATCH_HELP,
    NAME_HELP,
    OVERWRITE_OPTION,
    PUBLIC_KEY_OPTION,
    VARIANT_OPTION,
    json_option,
    out_option,
)
from torchstone_runtime.cli.output import print_result, require_writable, tell
from torchstone_runtime.cli.server_options import MODEL_VERSION_HELP
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable_lines

if TYPE_CHECKING:
    from torchstone_runtime.deployment.package_directory import Package
    from torchstone_runtime.deployment.packaged_model import PackagedModel
    from torchstone_runtime.deployment.triton import TritonSettings

_TRITON: Final = ("instances", "gpu", "max_batch", "max_delay_us", "model_version")
_BELONG: Final = {
    "triton": _TRITON,
    "kserve": (*_TRITON, "storage_uri", "container_image"),
    "container": ("wheel",),
    "lambda": (),
}
"""The options of each kind of package, beside those of all."""


@command(
    examples=(
        "torchstone package fashion --for triton --out model-repository",
        "torchstone package fashion --for kserve --storage-uri s3://models/fashion --out fashion-kserve",
        "torchstone package fashion --for container --out fashion-image",
        "torchstone package fashion --for lambda --out fashion-lambda",
    )
)
@click.argument("bundle", type=BUNDLE_PATH)
@option(
    *("--for", "kind"),
    group="Output",
    type=click.Choice(list(_BELONG)),
    required=True,
    help="triton: a model repository; kserve: manifests and the files that they serve; container: a build context for "
    "our own server; lambda: a function.",
)
@out_option(required=True)
@OVERWRITE_OPTION
@option("--name", group="Output", metavar="NAME", help=f"{NAME_HELP}  [default: the bundle's]")
@VARIANT_OPTION
@PUBLIC_KEY_OPTION
@option(
    "--instances",
    group="Server",
    type=click.IntRange(min=1),
    help="Triton: sessions that run at once, one thread each; on a GPU, sessions on each  [default: one, on all cores]",
)
@option("--gpu", group="Server", is_flag=True, help="Triton: run on GPUs.")
@option("--max-batch", group="Server", type=click.IntRange(min=1), help=f"{MAX_BATCH_HELP}  [default: 64]")
@option(
    "--max-delay-us",
    group="Server",
    type=click.IntRange(min=0),
    help="Triton: microseconds that a request may wait for others  [default: 0]",
)
@option("--model-version", group="Server", type=click.IntRange(min=1), help=f"{MODEL_VERSION_HELP}  [default: 1]")
@option("--storage-uri", group="Server", help="KServe: place of the package's folder models, such as s3://bucket/path.")
@option(
    *("--container-image", "--image", "container_image"),
    group="Server",
    aliases=("--image",),
    help="KServe: image of our own server  [default: torchstone-serve:VERSION]",
)
@option("--wheel", group="Server", type=FILE, help="Container: wheel of Torchstone  [default: the package index's]")
@json_option
def package(
    bundle: Path,
    kind: str,
    out: Path,
    name: str | None,
    variant: str | None,
    public_key: Path | None,
    json_file: Path | None,
    *,
    overwrite: bool,
    **options: Any,  # noqa: ANN401 - those of one kind or another, as declared above
) -> None:
    """Write BUNDLE in the form that Triton, KServe, a container or AWS Lambda needs.

    The directory (with --for triton the model's own within it) appears complete or not at all, and says in
    torchstone-package.json which bundle it was made from. What was deployed is then checked from outside: torchstone
    verify BUNDLE --url URL.
    """
    from torchstone_runtime.deployment.package_directory import write_package

    given = {key: value for key, value in options.items() if value not in (None, False)}
    foreign = [key for key in given if key not in _BELONG[kind]]
    if foreign:
        raise UsageError(f"--{foreign[0].replace('_', '-')} has no meaning with --for {kind}.", "Leave it out.")
    require_writable([json_file])
    opened = Bundle.open(bundle)
    if public_key is not None:
        from torchstone_runtime.bundle.signature import verify_signature

        verify_signature(opened, public_key)
    made = _MAKERS[kind](opened, variant, name, given)
    target = out / made.model.name if kind == "triton" else out
    write_package(made, target, overwrite=overwrite)
    steps = _next_steps(kind, made.model, bundle, out)
    document = {**made.record(), "out": str(target), "next": steps}
    summary = f"{kind:<12} {made.model.name}, variant {made.model.variant}: {len(made.files)} files in {target}"
    print_result(json_file, lambda: document, lambda: showable_lines([summary, *(f"next: {step}" for step in steps)]))


def _triton(bundle: Bundle, variant: str | None, name: str | None, given: dict[str, Any]) -> "Package":
    from torchstone_runtime.deployment.package_directory import Package
    from torchstone_runtime.deployment.triton import triton_files

    model = _portable(bundle, variant, name)
    return Package("triton", model, triton_files(model, _triton_settings(given)))


def _kserve(bundle: Bundle, variant: str | None, name: str | None, given: dict[str, Any]) -> "Package":
    from torchstone_runtime.deployment.kserve import DEFAULT_IMAGE, KServeSettings, kserve_files
    from torchstone_runtime.deployment.package_directory import Package

    if "storage_uri" not in given:
        raise UsageError("KServe reads models from a storage; none was named.", "Give --storage-uri s3://bucket/path.")
    settings = KServeSettings(
        given["storage_uri"], given.get("container_image", DEFAULT_IMAGE), _triton_settings(given)
    )
    model, own = _portable(bundle, variant, name), _own(bundle, variant, name)
    return Package("kserve", model, kserve_files(model, own, settings))


def _container(bundle: Bundle, variant: str | None, name: str | None, given: dict[str, Any]) -> "Package":
    from torchstone_runtime.deployment.build_context import container_files
    from torchstone_runtime.deployment.package_directory import Package

    model = _own(bundle, variant, name)
    return Package("container", model, container_files(model, given.get("wheel")))


def _lambda(bundle: Bundle, variant: str | None, name: str | None, given: dict[str, Any]) -> "Package":
    from torchstone_runtime.deployment.aws_lambda import lambda_files
    from torchstone_runtime.deployment.package_directory import Package

    del given
    model = _own(bundle, variant, name)
    return Package("lambda", model, lambda_files(model))


_MAKERS: Final[dict[str, Callable[[Bundle, str | None, str | None, dict[str, Any]], "Package"]]] = {
    "triton": _triton,
    "kserve": _kserve,
    "container": _container,
    "lambda": _lambda,
}


def _portable(bundle: Bundle, variant: str | None, name: str | None) -> "PackagedModel":
    from torchstone_runtime.deployment.packaged_model import PackagedModel, portable_variant, require_portable

    reason = ""
    if variant is None:
        variant, reason = portable_variant(bundle)
    if reason:
        tell(f"Note: {reason}")
    variant = bundle.runnable_variant(variant)
    require_portable(bundle, variant)
    return PackagedModel.of(bundle, variant, name)


def _own(bundle: Bundle, variant: str | None, name: str | None) -> "PackagedModel":
    from torchstone_runtime.deployment.packaged_model import PackagedModel

    return PackagedModel.of(bundle, bundle.runnable_variant(variant), name)


def _triton_settings(given: dict[str, Any]) -> "TritonSettings":
    from torchstone_runtime.deployment.triton import TritonSettings

    named = {"version": "model_version", "max_batch": "max_batch", "max_delay_us": "max_delay_us"}
    values = {field: given[key] for field, key in named.items() if key in given}
    return TritonSettings(**values, instances=given.get("instances"), gpu=given.get("gpu", False))


def _next_steps(kind: str, model: "PackagedModel", bundle: Path, out: Path) -> list[str]:
    check = f"torchstone verify {quote(bundle_argument(bundle))} --url URL --model {quote(model.name)}"
    there, models, needed = (quote(str(path)) for path in (out, out / "models", out / "requirements.txt"))
    return {
        "triton": [f"tritonserver --model-repository {there}", f"{check} --variant {model.variant}"],
        "kserve": [f"copy {models} to the storage", f"kubectl apply -f {there}/FILE.yaml", check],
        "container": [f"podman build -t {quote(model.name.lower())} {there}", check],
        "lambda": [f"pip install -r {needed} -t {there}", "zip it; the handler is handler.handler"],
    }[kind]
