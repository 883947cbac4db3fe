"""`Classifier`: a bundle, checked and ready to classify."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

import numpy as np
import onnxruntime as ort
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import GoldenSamples, variant_golden
from torchstone_runtime.bundle.manifest import METADATA_KEY, parse_essentials, parse_requirements
from torchstone_runtime.errors import BundleError, ProviderError, UsageError
from torchstone_runtime.images.array_input import as_batch
from torchstone_runtime.images.decode import ImageInput, decode_image
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.engine import Engine, make_engine
from torchstone_runtime.inference.load_options import LoadOptions, ModelSource
from torchstone_runtime.inference.plan import Plan
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.inference.providers import OpenedSession, open_session
from torchstone_runtime.inference.session_io import check_signature, read_metadata
from torchstone_runtime.inference.variants import open_variant
from torchstone_runtime.system.cpu import cpu_features, missing_features, usable_cpus
from torchstone_runtime.system.load_deadline import load_deadline

DECODE_BATCH: Final = 256
"""Pictures decoded and held at once where files are classified."""

Unanswered = Literal["raise", "keep"]


class Classifier:
    """A model of a bundle, checked and ready. Make one with `Classifier.load`.

    It may be used from several threads at once. Close it, or use it as a context manager, to end its threads and
    free its session. On the CPU it works in a process that is forked from this one. Pickled, as to send it to a
    process made by `spawn`, it is its path: the other side loads the same file again, with all checks.

    Attributes:
        name: name of the model.
        class_names: K class names in the order of the outputs.
        input_spec: size, colour and normalisation of the images that the model takes.
        plan: variant, provider, threads and tile, with the reason.
        bundle: bundle that it was loaded from; None for a lone file.
        source: path and options that load it again.
    """

    def __init__(
        self,
        *,
        name: str,
        class_names: tuple[str, ...],
        input_spec: InputSpec,
        plan: Plan,
        engine: Engine,
        bundle: Bundle | None,
        source: ModelSource | None,
    ) -> None:
        self.name = name
        self.class_names = class_names
        self.input_spec = input_spec
        self.plan = plan
        self.bundle = bundle
        self.source = source
        self._engine = engine

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        variant: str | None = None,
        provider: str = "auto",
        threads: int | None = None,
        tf32: bool = False,
        cuda_graphs: bool = False,
        replay_golden: bool = True,
        check_hashes: bool = True,
        public_key: str | os.PathLike[str] | None = None,
        features: frozenset[str] | None = None,
    ) -> "Classifier":
        """Load a bundle, or a lone ONNX file that Torchstone exported.

        Of a bundle, the files used are checked against the manifest, and the golden samples are replayed on the
        session that will serve. A lone file carries neither hashes nor golden samples.

        Args:
            path: the bundle's directory, the `.onnx` file, or the name of a built-in bundle (`fashion`).
            variant: which model of the bundle; its default one if None.
            provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
            threads: calls that run at once; the processors this process may use if None.
            tf32: whether a GPU may compute float32 products in TF32, with 10 bits of mantissa.
            cuda_graphs: whether `cuda` records each batch size once and replays it.
            replay_golden: whether the golden samples are replayed.
            check_hashes: whether the SHA-256 of the files used is checked; their size always is.
            public_key: a PEM file; a signature of this key is then required (`torchstone[sign]`).
            features: of the processor, by the Linux kernel's names; those of this one if None.

        A lossy variant may need a processor feature. Where the default variant does and the CPU that would run it
        lacks it, `fp32` is loaded and `plan.reason` says so; one that was asked for by name is then an error.

        Raises:
            BundleError: missing, altered or not readable.
            CheckFailedError: the golden samples give other outputs here than at the export, or the required signature
                is missing or wrong.
            MissingComponentError: a public key without `torchstone[sign]`.
            ProviderError: the provider, or the variant with a feature that this processor lacks, cannot be had.
            UsageError: no such variant or provider, `threads` below 1, or a public key where no signature can be.
        """
        options = LoadOptions(
            variant=variant,
            provider=provider,
            threads=threads,
            tf32=tf32,
            cuda_graphs=cuda_graphs,
            replay_golden=replay_golden,
            check_hashes=check_hashes,
            public_key=public_key,
            features=features,
        )
        return cls.load_with(path, options)

    @classmethod
    def load_with(cls, path: str | os.PathLike[str], options: LoadOptions) -> "Classifier":
        """Load as `load` does, with its arguments in one object.

        Raises:
            As for `load`.
        """
        options.check()
        found = locate_bundle(path)
        return cls._load_lone_file(found, options) if found.is_file() else cls._load_bundle(found, options)

    @classmethod
    def _load_bundle(cls, path: Path, options: LoadOptions) -> "Classifier":
        bundle = Bundle.open(path)
        if options.public_key is not None:
            from torchstone_runtime.bundle.signature import verify_signature  # noqa: PLC0415 - only where asked for

            verify_signature(bundle, Path(options.public_key))
        variant, opened = open_variant(bundle, options)
        classifier = cls._of_bundle(bundle, variant, opened, path, options)
        if options.replay_golden:
            plan, check_hash = classifier.plan, options.check_hashes
            classifier.replay(
                *variant_golden(bundle, variant, check_hash=check_hash, provider=plan.provider, tf32=plan.tf32)
            )
        return classifier

    @classmethod
    def from_content(cls, bundle: Bundle, variant: str, content: bytes, options: LoadOptions) -> "Classifier":
        """Make a classifier of a bundle's model file that `bundle.read` has checked; golden samples are not replayed.

        Raises:
            BundleError: ONNX Runtime cannot read it.
            ProviderError: the provider asked for cannot be had.
        """
        return cls._of_bundle(bundle, variant, open_session(content, options), bundle.path, options)

    @classmethod
    def _of_bundle(
        cls, bundle: Bundle, variant: str, opened: OpenedSession, path: Path, options: LoadOptions
    ) -> "Classifier":
        manifest = bundle.manifest
        source = ModelSource(_absolute(path), options.for_another_process(variant), manifest.variants[variant].sha256)
        essentials = manifest.name, manifest.class_names, manifest.input_spec
        return cls._assemble(opened, essentials, variant, source, bundle)

    @classmethod
    def _load_lone_file(cls, path: Path, options: LoadOptions) -> "Classifier":
        if options.public_key is not None:
            raise UsageError(f"{path} is one file: only a bundle can be signed.", "Give the bundle's directory.")
        if options.variant is not None:
            raise UsageError(f"{path} is one file, not a bundle with variants.", "Leave the variant out.")
        content = path.read_bytes()
        opened = open_session(content, options)
        metadata = read_metadata(opened.session).get(METADATA_KEY)
        if metadata is None:
            raise BundleError(
                f"{path} does not say what its input and classes are: Torchstone did not export it.",
                "Give a bundle directory or an ONNX file out of one.",
            )
        here = cpu_features() if options.features is None else options.features
        missing = missing_features(parse_requirements(metadata), here)
        if missing and opened.provider == "cpu":
            raise ProviderError(f"{path} would not compute rightly here: {missing}.", "Use the fp32 file.")
        sha256 = hashlib.sha256(content).hexdigest()
        source = ModelSource(_absolute(path), options.for_another_process(None), sha256)
        return cls._assemble(opened, parse_essentials(metadata), path.name, source, None)

    @classmethod
    def _assemble(
        cls,
        opened: OpenedSession,
        essentials: tuple[str, tuple[str, ...], InputSpec],
        variant: str,
        source: ModelSource,
        bundle: Bundle | None,
    ) -> "Classifier":
        name, class_names, spec = essentials
        check_signature(opened.session, spec, len(class_names))
        engine = make_engine(opened, len(class_names), source.options.threads)
        plan = Plan(
            variant,
            opened.provider,
            opened.reason,
            engine.workers,
            engine.tile,
            engine.buckets,
            opened.tf32,
            opened.cuda_graphs,
        )
        return cls(
            name=name,
            class_names=class_names,
            input_spec=spec,
            plan=plan,
            engine=engine,
            bundle=bundle,
            source=source,
        )

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the model file; None where it was not loaded from one."""
        return self.source.sha256 if self.source is not None else None

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Provenance that the bundle records; empty for a lone file."""
        return self.bundle.manifest.provenance if self.bundle is not None else {}

    def warm_up(self) -> None:
        """Run every batch size once on black images, so that no later call pays for being the first of its size.

        On a GPU that is a search for algorithms, an engine that TensorRT builds, or a CUDA graph that is recorded.
        """
        # The largest and the smallest first: TensorRT then knows the range, and builds no engine twice.
        for count in dict.fromkeys((self.plan.tile, *self.plan.buckets)):
            self._engine.run(np.zeros((count, *self.input_spec.shape), dtype=np.uint8))

    def predict(
        self, images: Uint8Array | ImageInput | Sequence[ImageInput], *, unanswered: Unanswered = "raise"
    ) -> Predictions:
        """Classify images.

        Args:
            images: uint8 pixels of shape (N, C, H, W), (C, H, W), or with one channel (N, H, W) or (H, W);
                or a path, the bytes of an image file, a Pillow image, or a sequence of these.
            unanswered: what becomes of images whose outputs are no answer, see `Predictions`: `raise` an error that
                names them, or `keep` their rows.

        Returns:
            One row an image, in the given order; no rows for no images.

        Raises:
            UsageError: an array of another dtype or shape than the model takes, or one too large for the memory.
            ImageError: a picture cannot be decoded.
            NoAnswerError: the model gives no answer for an image.
        """
        found = self._predict_given(images)
        if _must_raise(unanswered):
            found.require_answers()
        return found

    def _predict_given(self, images: Uint8Array | ImageInput | Sequence[ImageInput]) -> Predictions:
        if isinstance(images, np.ndarray):
            try:
                return self._predict_array(as_batch(images, self.input_spec))
            except MemoryError as error:
                raise UsageError(
                    f"{len(images):,} images in one call are more than fit into memory.",
                    "Give them in parts, or give pictures to Classifier.stream.",
                ) from error
        if isinstance(images, str | bytes | os.PathLike | Image.Image) or not hasattr(images, "__iter__"):
            # What is nothing of the kind is refused there by its type.
            return self._predict_array(decode_image(cast("ImageInput", images), self.input_spec)[np.newaxis])
        parts = list(self.stream(images, unanswered="keep"))
        if not parts:
            return self._predict_array(np.empty((0, *self.input_spec.shape), dtype=np.uint8))
        logits = np.concatenate([part.logits for part in parts])
        return Predictions(self.class_names, logits, np.concatenate([part.probabilities for part in parts]))

    def stream(
        self,
        sources: Iterable[ImageInput],
        batch_size: int = DECODE_BATCH,
        *,
        unanswered: Unanswered = "raise",
    ) -> Iterator[Predictions]:
        """Classify pictures a batch at a time, in order, in bounded memory.

        Args:
            sources: paths, bytes of image files, or Pillow images.
            batch_size: pictures a batch; the last batch may be smaller.
            unanswered: as for `predict`.

        Raises:
            ImageError: a picture cannot be decoded.
            NoAnswerError: the model gives no answer for a picture; its place is counted over the whole stream.
            UsageError: `batch_size` below 1, or something that is no picture.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size must be at least 1, not {batch_size}.")
        checked, first = _must_raise(unanswered), 0
        remaining = iter(sources)
        with ThreadPoolExecutor(usable_cpus()) as pool:
            while chunk := list(islice(remaining, batch_size)):
                decoded = pool.map(lambda source: decode_image(source, self.input_spec), chunk)
                found = self._predict_array(np.stack(list(decoded)))
                if checked:
                    found.require_answers(first)
                first += len(found)
                yield found

    def replay(self, samples: GoldenSamples, tolerance: float) -> float:
        """Run golden samples and return the largest logit difference; see `GoldenSamples.check`.

        Raises:
            BundleError: they are of another shape, or the model took longer than `load_deadline` allows.
            CheckFailedError: its outputs are other ones.
        """
        if samples.images.shape[1:] != self.input_spec.shape:
            raise BundleError("The golden samples are not of the shape that the model takes.", "Export it again.")
        options = ort.RunOptions() if self.plan.provider == "cpu" else None
        with load_deadline("to answer its golden samples", options):
            logits, probabilities = self._engine.run(samples.images, run_options=options)
        temperature = self.bundle.manifest.temperature if self.bundle is not None else 1.0
        return samples.check(logits, probabilities, tolerance, temperature)

    def close(self) -> None:
        """End the worker threads and free the session."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _predict_array(self, images: Uint8Array) -> Predictions:
        return Predictions(self.class_names, *self._engine.run(images))

    def __reduce__(self) -> "tuple[Callable[[ModelSource], Classifier], tuple[ModelSource]]":
        if self._engine.closed:
            raise UsageError("This classifier is closed, so that it cannot be pickled.", "Pickle it before.")
        if self.source is None:
            raise UsageError("Only a classifier made by Classifier.load can be pickled.")
        return _load_again, (self.source,)


def _load_again(source: ModelSource) -> Classifier:
    classifier = Classifier.load_with(source.path, source.options)
    if classifier.sha256 != source.sha256:
        classifier.close()
        raise BundleError(
            f"The model at {source.path} is not the one that the pickled classifier had.",
            "It was replaced meanwhile: load it anew.",
        )
    return classifier


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - a link stays a link


def _must_raise(unanswered: Unanswered) -> bool:
    if unanswered not in ("raise", "keep"):
        raise UsageError(f"unanswered is '{unanswered}'.", "Give 'raise' or 'keep'.")
    return unanswered == "raise"
