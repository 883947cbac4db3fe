"""Does the model behind an address decide as the bundle was certified to?"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import GoldenSamples, golden_of
from torchstone_runtime.errors import BundleError, CheckFailedError, RemoteError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.remote.deployed_model import DeployedModel, find_model
from torchstone_runtime.remote.picture_input import PictureInput, choose_input
from torchstone_runtime.remote.server_address import OK, ServerAddress
from torchstone_runtime.remote.tensors import BINARY_EXTENSION, infer_request, read_outputs
from torchstone_runtime.remote.wire_comparison import WireComparison

_KNOWN: Final = ("logits", "probabilities")
_LISTED: Final = 16
_NOT_RUN: Final = "torchscript"
_FORMS: Final = {
    "pixels": "uint8 pixels",
    "normalised": "pixels normalised with the bundle's mean and std",
    "files": "PNG files",
}


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """Which model of which server is asked.

    Attributes:
        server: address of the server.
        name: name of the model there; None for the only one, or the one that is called as the bundle's.
        version: version of the model; None for the server's choice.
        variant: variant of the bundle that it must be; any of them if None.
        provider: provider that the server uses, whose tolerance counts; tf32: whether it computes in TF32.
    """

    server: ServerAddress
    name: str | None = None
    version: str | None = None
    variant: str | None = None
    provider: str = "cpu"
    tf32: bool = False


def verify_served_bundle(
    path: str | Path, remote: RemoteModel, public_key: str | os.PathLike[str] | None = None
) -> Iterator[str]:
    """Check the files of a bundle, and its signature where a key is given; then as `verify_url`.

    Raises:
        BundleError: a file is missing, altered or not readable.
        As for `verify_url`; CheckFailedError also where the signature is missing or wrong.
    """
    bundle = Bundle.open(path)
    _variants(bundle, remote.variant)  # a misspelt name is told before any file is read
    count = len(bundle.check_files())
    yield f"files        {count} of {count} have the size and SHA-256 of the manifest"
    if public_key is not None:
        from torchstone_runtime.bundle.signature import verify_signature  # noqa: PLC0415 - only where asked for

        signed = verify_signature(bundle, Path(public_key))
        yield f"signature    valid signature by {public_key} over all {signed} files"
    yield from verify_url(bundle, remote)


def verify_url(bundle: Bundle, remote: RemoteModel) -> Iterator[str]:
    """Send the golden samples of a bundle to a server of the Open Inference Protocol and compare the answers.

    Each image goes in a request of its own, then all go in one, where the server takes that many.

    Yields:
        A line on each thing that was checked, as soon as it was.

    Raises:
        BundleError: the golden samples are missing, altered or not readable.
        CheckFailedError: the model decides or computes otherwise, or has another input or number of classes.
        RemoteError: the server can't be reached, has no such model, or doesn't answer as the protocol says.
        UsageError: the bundle has no such variant.
    """
    content, manifest = bundle.read_file("golden"), bundle.manifest
    variants = _variants(bundle, remote.variant)
    binary = BINARY_EXTENSION in _extensions(remote.server)
    model = find_model(remote.server, remote.name, remote.version, manifest.name)
    wanted, spec = choose_input(model, manifest.input_spec), manifest.input_spec
    if wanted.needs_binary and not binary:
        raise RemoteError(
            f"'{model.name}' wants {wanted.datatype}, which goes in binary only, and {remote.server.url} does not list "
            f"the extension {BINARY_EXTENSION}."
        )
    names = _outputs(model, len(manifest.class_names))
    transport = "binary tensors" if binary else "JSON"
    yield f"server       {remote.server.url}, model {model.name}: {_FORMS[wanted.kind]} as {transport}"
    wire = _Wire(remote.server, model, wanted, names, spec, binary=binary)
    failed: list[tuple[str, WireComparison]] = []
    for variant in variants:
        samples, tolerance = golden_of(manifest, variant, content, provider=remote.provider, tf32=remote.tf32)
        if samples.images.shape[1:] != spec.shape:
            raise BundleError("The golden samples are not of the shape that the model takes.", "Export it again.")
        check = _Check(samples, tolerance, manifest.temperature, manifest.class_names)
        compared = check.compare([wire.ask(samples.images[i : i + 1]) for i in range(len(samples.images))])
        if compared.failed:
            failed.append((variant, compared))
            continue
        yield f"{variant:<12} {compared.summary()}"
        yield f"{variant:<12} {_together(wire, check, model.name)}"
        return
    raise _otherwise(failed, model, remote)


@dataclass(frozen=True, slots=True)
class _Wire:
    server: ServerAddress
    model: DeployedModel
    wanted: PictureInput
    outputs: tuple[str, ...]
    spec: InputSpec
    binary: bool

    def ask(self, images: Uint8Array) -> dict[str, npt.NDArray[Any]]:
        """Return the outputs for images, uint8 [n, C, H, W]."""
        tensor = self.wanted.encode(images, self.spec)
        wanted = self.wanted
        body, headers = infer_request(
            wanted.name, wanted.datatype, tensor, self.outputs, binary=self.binary, axes=wanted.axes
        )
        path = f"{self.model.path}/infer"
        answer = self.server.exchange("POST", path, body, headers)
        if answer.status != OK:
            raise self.server.refused(path, answer)
        return read_outputs(answer)


@dataclass(frozen=True, slots=True)
class _Check:
    samples: GoldenSamples
    tolerance: float
    temperature: float
    class_names: tuple[str, ...]

    def compare(self, answers: Sequence[dict[str, npt.NDArray[Any]]]) -> WireComparison:
        """Compare the answers to requests, in the order of the samples."""
        return WireComparison.of(self.samples, answers, self.tolerance, self.temperature, self.class_names)


def _variants(bundle: Bundle, wanted: str | None) -> list[str]:
    default = bundle.runnable_variant(wanted)
    if wanted is not None:
        return [default]
    # A server may run another variant than the default one: ours does where the processor lacks a feature.
    others = [name for name in bundle.manifest.variants if name not in (default, _NOT_RUN)]
    return [default, *others]


def _extensions(server: ServerAddress) -> list[str]:
    data = server.get_json("v2")
    if not isinstance(data, dict) or "name" not in data:
        raise RemoteError(
            f"{server.url}/v2 does not describe a server as the Open Inference Protocol says.",
            "Is this a server of that protocol (REST)?",
        )
    listed = data.get("extensions")
    return [str(name) for name in listed] if isinstance(listed, list) else []


def _outputs(model: DeployedModel, classes: int) -> tuple[str, ...]:
    """Return the outputs to ask for: logits and probabilities by name, else the one that has a value per class."""
    named = {tensor.name: tensor for tensor in model.outputs}
    wanted = tuple(name for name in _KNOWN if name in named)
    for name in wanted:
        if named[name].shape[-1:] not in ((), (-1,), (classes,)):
            raise CheckFailedError(
                f"'{model.name}' has {named[name].shape[-1]} classes, the bundle {classes}: it is another model.",
                "Name the right model with --model, or give the bundle that was deployed.",
            )
    if wanted or not named:
        return wanted
    fitting = [tensor.name for tensor in model.outputs if tensor.shape[-1:] in ((-1,), (classes,))]
    if len(fitting) == 1:
        return tuple(fitting)
    raise CheckFailedError(
        f"'{model.name}' has no output with a value for each of the bundle's {classes} classes: it is another model.",
        "Name the right model with --model, or give the bundle that was deployed.",
        [f"{tensor.name}: {tensor.datatype} {list(tensor.shape)}" for tensor in model.outputs],
    )


def _together(wire: _Wire, check: _Check, name: str) -> str:
    count = len(check.samples.images)
    if wire.wanted.one_by_one:
        return "not asked for several at once: the model takes one image per request"
    try:
        answer = wire.ask(check.samples.images)
    except RemoteError as error:
        return f"not asked for all {count} at once: {error.problem}"
    compared = check.compare([answer])
    if compared.failed:
        raise CheckFailedError(
            f"'{name}' answers right one image at a time, but otherwise where all {count} golden samples are one "
            f"request: {compared.figures()}.",
            "Look at how the server makes batches.",
            _shown(compared.otherwise),
        )
    return f"all {count} in one request: the same decisions; largest difference {compared.largest:.2e}"


def _otherwise(
    failed: Sequence[tuple[str, WireComparison]], model: DeployedModel, remote: RemoteModel
) -> CheckFailedError:
    variant, compared = min(failed, key=lambda pair: (len(pair[1].otherwise), pair[1].largest))
    tried = f"any of {', '.join(name for name, _ in failed)}" if len(failed) > 1 else variant
    return CheckFailedError(
        f"'{model.name}' at {remote.server.url} does not decide as {tried} was certified to: {compared.figures()}"
        f"{f' (beside {variant}, the nearest)' if len(failed) > 1 else ''}.",
        "Deploy the bundle's own file, with the same preprocessing, or give the bundle that was deployed.",
        _shown(compared.otherwise),
    )


def _shown(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return [*lines[:_LISTED], *more]
