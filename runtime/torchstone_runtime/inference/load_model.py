"""From a path and options to a model with its engine: a bundle's, or that of a lone ONNX file."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from torchstone_runtime.bundle.agreement import require_agreement
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle, no_bundle_error
from torchstone_runtime.bundle.manifest import METADATA_KEY, parse_essentials, parse_requirements, parse_temperature
from torchstone_runtime.errors import BundleError, ProviderError, UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.engine import Engine, make_engine
from torchstone_runtime.inference.load_options import LoadOptions, ModelSource
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.inference.providers import OpenedSession, open_session
from torchstone_runtime.inference.second_session import SecondSession
from torchstone_runtime.inference.session_io import check_signature, read_metadata
from torchstone_runtime.inference.variants import open_variant
from torchstone_runtime.system.cpu import cpu_features, missing_features
from torchstone_runtime.system.openvino import ON_PROCESSOR


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to run.

    Attributes:
        name: name of the model.
        class_names: K class names in the order of the outputs.
        input_spec: size, colour and normalisation of the images that the model takes.
        plan: variant, provider, threads and micro-batch, with the reason.
        engine: engine that runs the model.
        bundle: bundle that it was loaded from; None for a lone file.
        source: path and options that load it again.
        temperature: divisor of the logits in the softmax that makes the probabilities.
    """

    name: str
    class_names: tuple[str, ...]
    input_spec: InputSpec
    plan: ExecutionPlan
    engine: Engine
    bundle: Bundle | None
    source: ModelSource
    temperature: float


def load_model(path: str | os.PathLike[str], options: LoadOptions) -> LoadedModel:
    """Load a bundle's variant or a lone file; golden samples are not replayed.

    Raises:
        As for `Classifier.load`.
    """
    options.check()
    found = locate_bundle(path)
    if found.is_file():
        return _load_lone_file(found, options)
    bundle = Bundle.open(found)
    if options.public_key is not None:
        from torchstone_runtime.bundle.signature import verify_signature  # noqa: PLC0415 - only where asked for

        verify_signature(bundle, Path(options.public_key))
    variant, opened = open_variant(bundle, options)
    return model_of_bundle(bundle, variant, opened, options)


def model_of_bundle(bundle: Bundle, variant: str, opened: OpenedSession, options: LoadOptions) -> LoadedModel:
    """Return the model of a bundle's variant, whose session has been opened.

    Raises:
        BundleError: its inputs or outputs are not those that the manifest implies, or its own metadata contradicts it.
    """
    manifest = bundle.manifest
    check_signature(opened.session, manifest.input_spec, len(manifest.class_names))
    if (metadata := read_metadata(opened.session).get(METADATA_KEY)) is not None:
        require_agreement(manifest, metadata, manifest.variants[variant].name)
    sha256 = manifest.variants[variant].sha256
    source = ModelSource(_absolute(bundle.path), options.for_another_process(variant), sha256)
    essentials = manifest.name, manifest.class_names, manifest.input_spec
    return _assemble(opened, essentials, variant, source, bundle, manifest.temperature)


def _load_lone_file(path: Path, options: LoadOptions) -> LoadedModel:
    if options.public_key is not None:
        raise UsageError(f"{path} is one file: only a bundle can be signed.", "Give the bundle's directory.")
    if options.variant is not None:
        raise UsageError(f"{path} is one file, not a bundle with variants.", "Leave the variant out.")
    from torchstone_runtime.path_kinds.wanted import not_an_onnx_file  # noqa: PLC0415 - for lone files alone

    if not_an_onnx_file(path) is not None:
        raise no_bundle_error(path)
    content = path.read_bytes()
    opened = open_session(content, options)
    metadata = read_metadata(opened.session).get(METADATA_KEY)
    if metadata is None:
        raise BundleError(
            f"{path} does not say what its input and classes are: Torchstone did not export it.",
            no_bundle_error(path).remedy,
        )
    here = cpu_features() if options.features is None else options.features
    missing = missing_features(parse_requirements(metadata), here)
    if missing and opened.provider in ON_PROCESSOR:
        raise ProviderError(f"{path} would give wrong results on this processor: {missing}.", "Use the fp32 file.")
    sha256 = hashlib.sha256(content).hexdigest()
    source = ModelSource(_absolute(path), options.for_another_process(None), sha256)
    essentials = parse_essentials(metadata)
    check_signature(opened.session, essentials[2], len(essentials[1]))
    return _assemble(opened, essentials, path.name, source, None, parse_temperature(metadata) or 1.0)


def _assemble(
    opened: OpenedSession,
    essentials: tuple[str, tuple[str, ...], InputSpec],
    variant: str,
    source: ModelSource,
    bundle: Bundle | None,
    temperature: float,
) -> LoadedModel:
    name, class_names, spec = essentials
    options = source.options
    served = replace(options, provider=opened.provider, precision=opened.precision)
    opener = SecondSession(source, variant, bundle, served)
    engine = make_engine(opened, len(class_names), options.threads, mode=options.mode, opener=opener)
    plan = ExecutionPlan(
        variant=variant,
        provider=opened.provider,
        reason=opened.reason,
        threads=engine.workers,
        micro_batch=engine.micro_batch,
        buckets=engine.buckets,
        tf32=opened.tf32,
        cuda_graphs=opened.cuda_graphs,
        precision=opened.precision,
    )
    return LoadedModel(name, class_names, spec, plan, engine, bundle, source, temperature)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - a link stays a link
