"""`Classifier`: a bundle, checked and ready to classify."""

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, cast

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
from torchstone_runtime.inference.engine import GPU_TILE, Engine, cpu_tile
from torchstone_runtime.inference.gpu_engine import bind
from torchstone_runtime.inference.gpu_options import ON_NVIDIA, GpuChoices
from torchstone_runtime.inference.origin import Origin
from torchstone_runtime.inference.plan import Plan
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.inference.providers import OpenedSession, open_session
from torchstone_runtime.inference.session_io import check_signature, read_metadata
from torchstone_runtime.inference.variants import open_variant
from torchstone_runtime.system.cpu import usable_cpus
from torchstone_runtime.system.cpu_features import cpu_features, missing_features
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
        name: of the model.
        class_names: in the order of the outputs.
        input_spec: what the model takes.
        plan: variant, provider, threads and tile, with the reason.
        bundle: that it was loaded from; None for a lone file.
        origin: where it was loaded from and how.
    """

    def __init__(
        self, *, name: str, class_names: tuple[str, ...], input_spec: InputSpec, plan: Plan, engine: Engine
    ) -> None:
        self.bundle: Bundle | None = None
        self.origin: Origin | None = None
        self.name = name
        self.class_names = class_names
        self.input_spec = input_spec
        self.plan = plan
        self._engine = engine
        self._temperature = 1.0

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
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}.")
        path = locate_bundle(path)
        _check_switches(path, check_hashes=check_hashes, public_key=public_key)
        here = cpu_features() if features is None else features
        gpu = GpuChoices(tf32=tf32, cuda_graphs=cuda_graphs)
        if path.is_file():
            classifier, sha256 = cls._load_lone_file(path, variant, provider, threads, here, gpu)
        else:
            bundle = Bundle.open(path)
            if public_key is not None:
                from torchstone_runtime.bundle.signature import verify_signature  # noqa: PLC0415 - only where asked for

                verify_signature(bundle, Path(public_key))
            classifier = cls._load_bundle(bundle, variant, provider, threads, here, gpu, check_hash=check_hashes)
            if replay_golden:
                plan = classifier.plan
                golden = variant_golden(
                    bundle, plan.variant, check_hash=check_hashes, provider=plan.provider, tf32=plan.tf32
                )
                classifier.replay(*golden)
            sha256 = bundle.manifest.variants[classifier.plan.variant].sha256
        classifier.origin = Origin(
            path=os.path.abspath(path),  # noqa: PTH100 - a link stays a link
            variant=classifier.plan.variant if classifier.bundle else None,
            provider=provider,
            threads=threads,
            replay_golden=replay_golden,
            check_hashes=check_hashes,
            public_key=os.path.abspath(public_key) if public_key is not None else None,  # noqa: PTH100
            sha256=sha256,
            tf32=tf32,
            cuda_graphs=cuda_graphs,
        )
        return classifier

    @classmethod
    def _load_bundle(
        cls,
        bundle: Bundle,
        variant: str | None,
        provider: str,
        threads: int | None,
        features: frozenset[str],
        gpu: GpuChoices,
        *,
        check_hash: bool,
    ) -> "Classifier":
        chosen, opened = open_variant(bundle, variant, provider, features, gpu=gpu, check_hash=check_hash)
        return cls._of_bundle(bundle, chosen, opened, threads)

    @classmethod
    def from_content(
        cls, bundle: Bundle, variant: str, content: bytes, *, provider: str = "auto", tf32: bool = False
    ) -> "Classifier":
        """Make a classifier of a bundle's model file that `bundle.read` has checked; golden samples are not replayed.

        Raises:
            BundleError: ONNX Runtime cannot read it.
            ProviderError: the provider asked for cannot be had.
        """
        return cls._of_bundle(bundle, variant, open_session(content, provider, gpu=GpuChoices(tf32=tf32)), None)

    @classmethod
    def _of_bundle(cls, bundle: Bundle, variant: str, opened: OpenedSession, threads: int | None) -> "Classifier":
        manifest = bundle.manifest
        classifier = cls._assemble(
            opened, manifest.name, manifest.class_names, manifest.input_spec, variant=variant, threads=threads
        )
        classifier.bundle = bundle
        classifier._temperature = manifest.temperature  # noqa: SLF001 - of this very class
        return classifier

    @classmethod
    def _load_lone_file(
        cls,
        path: Path,
        variant: str | None,
        provider: str,
        threads: int | None,
        features: frozenset[str],
        gpu: GpuChoices,
    ) -> tuple["Classifier", str]:
        if variant is not None:
            raise UsageError(f"{path} is one file, not a bundle with variants.", "Leave the variant out.")
        content = path.read_bytes()
        opened = open_session(content, provider, gpu)
        metadata = read_metadata(opened.session).get(METADATA_KEY)
        if metadata is None:
            raise BundleError(
                f"{path} does not say what its input and classes are: Torchstone did not export it.",
                "Give a bundle directory or an ONNX file out of one.",
            )
        name, class_names, spec = parse_essentials(metadata)
        missing = missing_features(parse_requirements(metadata), features)
        if missing and opened.provider == "cpu":
            raise ProviderError(f"{path} would not compute rightly here: {missing}.", "Use the fp32 file.")
        lone = cls._assemble(opened, name, class_names, spec, variant=path.name, threads=threads)
        return lone, hashlib.sha256(content).hexdigest()

    @classmethod
    def _assemble(
        cls,
        opened: OpenedSession,
        name: str,
        class_names: tuple[str, ...],
        spec: InputSpec,
        *,
        variant: str,
        threads: int | None,
    ) -> "Classifier":
        check_signature(opened.session, spec, len(class_names))
        on_cpu = opened.provider == "cpu"
        # A GPU runs one call at a time; more threads would only wait for each other.
        workers = (threads or usable_cpus()) if on_cpu else 1
        tile = cpu_tile(math.prod(spec.shape)) if on_cpu else GPU_TILE
        session, gpu = opened.session, opened.gpu
        buckets: tuple[int, ...] = ()
        if opened.provider in ON_NVIDIA:
            session = bind(opened)
            buckets, tile = session.buckets, session.buckets[-1]
        plan = Plan(variant, opened.provider, opened.reason, workers, tile, buckets, gpu.tf32, gpu.cuda_graphs)
        engine = Engine(session, num_classes=len(class_names), workers=workers, tile=tile, survives_fork=on_cpu)
        return cls(name=name, class_names=class_names, input_spec=spec, plan=plan, engine=engine)

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
            logits, probabilities = self._engine.run(samples.images, options)
        return samples.check(logits, probabilities, tolerance, self._temperature)

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

    def __reduce__(self) -> "tuple[Callable[[Origin], Classifier], tuple[Origin]]":
        if self._engine.closed:
            raise UsageError("This classifier is closed, so that it cannot be pickled.", "Pickle it before.")
        if self.origin is None:
            raise UsageError("Only a classifier made by Classifier.load can be pickled.")
        return _load_again, (self.origin,)


def _load_again(origin: Origin) -> Classifier:
    classifier = Classifier.load(
        origin.path,
        variant=origin.variant,
        provider=origin.provider,
        threads=origin.threads,
        replay_golden=origin.replay_golden,
        check_hashes=origin.check_hashes,
        public_key=origin.public_key,
        tf32=origin.tf32,
        cuda_graphs=origin.cuda_graphs,
    )
    if classifier.origin is None or classifier.origin.sha256 != origin.sha256:
        classifier.close()
        raise BundleError(
            f"The model at {origin.path} is not the one that the pickled classifier had.",
            "It was replaced meanwhile: load it anew.",
        )
    return classifier


def _check_switches(path: Path, *, check_hashes: bool, public_key: str | os.PathLike[str] | None) -> None:
    if public_key is None:
        return
    if path.is_file():
        raise UsageError(f"{path} is one file: only a bundle can be signed.", "Give the bundle's directory.")
    if not check_hashes:
        raise UsageError("A signature holds for a file through its hash.", "Leave check_hashes on.")


def _must_raise(unanswered: Unanswered) -> bool:
    if unanswered not in ("raise", "keep"):
        raise UsageError(f"unanswered is '{unanswered}'.", "Give 'raise' or 'keep'.")
    return unanswered == "raise"
