"""`Classifier`: a bundle, checked and ready to classify."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, cast

import numpy as np
import onnxruntime as ort
from PIL import Image

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import GoldenSamples, variant_golden
from torchstone_runtime.errors import BundleError, DataError, UsageError
from torchstone_runtime.images.array_input import Layout, as_batch
from torchstone_runtime.images.decode import ImageInput, decode_image
from torchstone_runtime.images.find import find_pictures
from torchstone_runtime.inference.decoding import decoded_batches
from torchstone_runtime.inference.load_model import LoadedModel, load_model, model_of_bundle
from torchstone_runtime.inference.load_options import LoadOptions, Mode, ModelSource
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.inference.predictions import Prediction, Predictions
from torchstone_runtime.inference.providers import open_session
from torchstone_runtime.inference.statistics_source import StatisticsSource
from torchstone_runtime.system.load_deadline import load_deadline
from torchstone_runtime.system.memory import give_back_freed_memory

if TYPE_CHECKING:
    from torchstone_runtime.metrics.classification import Metrics

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
        bundle: bundle that it was loaded from; None for a lone file.
        source: path and options that load it again.
        temperature: divisor of the logits in the softmax that makes the probabilities.
        statistics: statistics of the validation images that the bundle keeps, for sets of classes and to tell drift.
    """

    def __init__(self, model: LoadedModel) -> None:
        self.name = model.name
        self.class_names = model.class_names
        self.input_spec = model.input_spec
        self._plan = model.plan
        self.bundle = model.bundle
        self.source = model.source
        self.temperature = model.temperature
        self._engine = model.engine
        check_hash = model.source.options.check_hashes
        self.statistics = StatisticsSource(model.bundle, model.plan.variant, check_hash=check_hash)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        variant: str | None = None,
        provider: str = "auto",
        threads: int | None = None,
        mode: Mode = "auto",
        tf32: bool = False,
        cuda_graphs: bool = False,
        cpu_fallback: bool = False,
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
            variant: name of the bundle's variant; its default one if None.
            provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
            threads: calls that run at once; the processors this process may use if None.
            mode: aim on the CPU: `latency` computes a single picture on all threads, with a second
                session that takes the memory of the weights once more; `throughput` never does; `auto` measures after
                a few calls of single pictures whether that is faster, and `plan` says what it found.
            tf32: whether a GPU may compute float32 products in TF32, with 10 bits of mantissa.
            cuda_graphs: whether `cuda` records each batch size once and replays it.
            cpu_fallback: whether the CPU may run the nodes that a provider asked for by name cannot run; `plan.reason`
                names them.
            replay_golden: whether the golden samples are replayed.
            check_hashes: whether the SHA-256 of the files used is checked; their size always is.
            public_key: a PEM file; a signature of this key is then required (`torchstone[sign]`).
            features: features of the processor, by the Linux kernel's names; those of this one if None.

        A lossy variant may need a processor feature. Where the default variant does and the CPU that would run it
        lacks it, `fp32` is loaded and `plan.reason` says so; one that was asked for by name is then an error.

        Raises:
            BundleError: missing, altered or not readable.
            CheckFailedError: the golden samples give other outputs here than at the export, or the required signature
                is missing or wrong.
            MissingComponentError: a public key without `torchstone[sign]`.
            ProviderError: the provider, or the variant with a feature that this processor lacks, is not available.
            UsageError: no such variant or provider, `threads` below 1, or a public key where no signature can be.
        """
        options = LoadOptions(
            variant=variant,
            provider=provider,
            threads=threads,
            mode=mode,
            tf32=tf32,
            cuda_graphs=cuda_graphs,
            cpu_fallback=cpu_fallback,
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
        classifier = cls(load_model(path, options))
        if classifier.bundle is not None and options.replay_golden:
            plan, check_hash = classifier.plan, options.check_hashes
            golden = variant_golden(
                classifier.bundle, plan.variant, check_hash=check_hash, provider=plan.provider, tf32=plan.tf32
            )
            classifier.replay(*golden)
        return classifier

    @classmethod
    def from_content(cls, bundle: Bundle, variant: str, content: bytes, options: LoadOptions) -> "Classifier":
        """Make a classifier of a bundle's model file that `bundle.read` has checked; golden samples are not replayed.

        Raises:
            BundleError: ONNX Runtime cannot read it.
            ProviderError: the provider asked for is not available.
        """
        return cls(model_of_bundle(bundle, variant, open_session(content, options), options))

    @property
    def plan(self) -> ExecutionPlan:
        """Variant, provider, threads and micro-batch, with the reasons."""
        engine = self._engine
        return replace(self._plan, small_calls=engine.latency_note, waiting_calls=engine.merging_note)

    @property
    def sha256(self) -> str:
        """SHA-256 of the model file, hexadecimal."""
        return self.source.sha256

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Provenance that the bundle records; empty for a lone file."""
        return self.bundle.manifest.provenance if self.bundle is not None else {}

    def warm_up(self) -> None:
        """Run every batch size once on black images, so that no later call pays for being the first of its size.

        On a GPU that is a search for algorithms, an engine that TensorRT builds, or a CUDA graph that is recorded.
        """
        # The largest and the smallest first: TensorRT then knows the range, and builds no engine twice.
        for count in dict.fromkeys((self.plan.micro_batch, *self.plan.buckets)):
            self._engine.run(np.zeros((count, *self.input_spec.shape), dtype=np.uint8))

    def predict(
        self,
        images: Uint8Array | ImageInput | Sequence[ImageInput],
        *,
        layout: Layout = "NCHW",
        unanswered: Unanswered = "raise",
    ) -> Predictions:
        """Classify images.

        Args:
            images: uint8 pixels of shape (N, C, H, W), (C, H, W), or with one channel (N, H, W) or (H, W);
                or a path, a folder's path (every picture in it, sorted), the bytes of an image file, a Pillow image,
                or a sequence of these but folders.
            layout: order of an array's axes; with `NHWC` it has the shape (N, H, W, C) or (H, W, C).
            unanswered: treatment of images whose outputs are no answer, see `Predictions`: `raise` an error that
                names them, or `keep` their rows.

        Returns:
            One row per image, in the given order, with the paths where the images were paths; no rows for no images.

        Raises:
            UsageError: an array of another dtype or shape than the model takes, or one too large for the memory.
            DataError: a folder without pictures, or one that cannot be read.
            ImageError: a picture cannot be decoded.
            NoAnswerError: the model gives no answer for an image.
        """
        found = self._predict_given(images, layout)
        if _must_raise(unanswered):
            found.require_answers()
        return found

    def _predict_given(self, images: Uint8Array | ImageInput | Sequence[ImageInput], layout: Layout) -> Predictions:
        if isinstance(images, np.ndarray):
            try:
                return self._predict_array(as_batch(images, self.input_spec, layout))
            except MemoryError as error:
                raise UsageError(
                    f"{len(images):,} images in one call are more than fit into memory.",
                    "Give them in parts, or give pictures to Classifier.stream.",
                ) from error
        if isinstance(images, str | os.PathLike) and os.path.isdir(images):  # noqa: PTH112 - names stay as given
            return self._predict_pictures([picture.source for picture in find_pictures([os.fspath(images)])])
        if isinstance(images, str | bytes | os.PathLike | Image.Image) or not hasattr(images, "__iter__"):
            # What is nothing of the kind is refused there by its type.
            found = self._predict_array(decode_image(cast("ImageInput", images), self.input_spec)[np.newaxis])
            return replace(found, paths=_paths_of([images]))
        return self._predict_pictures(list(images))

    def _predict_pictures(self, images: Sequence[ImageInput]) -> Predictions:
        parts = list(self._stream(images, DECODE_BATCH, checked=False, ahead=True))
        if not parts:
            return self._predict_array(np.empty((0, *self.input_spec.shape), dtype=np.uint8))
        logits = np.concatenate([part.logits for part in parts])
        probabilities = np.concatenate([part.probabilities for part in parts])
        return Predictions(self.class_names, logits, probabilities, _paths_of(images), self.statistics)

    def predict_folder(
        self, folder: str | os.PathLike[str], *, batch_size: int = DECODE_BATCH, unanswered: Unanswered = "raise"
    ) -> Iterator[Prediction]:
        """Classify every picture in a folder and its sub-folders, sorted, in bounded memory.

        Args:
            folder: path; hidden files and folders are left out, as are files that are no images.
            batch_size: pictures decoded and held at once.
            unanswered: treatment of images without an answer, as for `predict`.

        Raises:
            DataError: no such folder, one without pictures, or one that cannot be read.
            ImageError: a picture cannot be decoded.
            NoAnswerError: the model gives no answer for a picture.
        """
        if not os.path.isdir(folder):  # noqa: PTH112 - names stay as they were given
            raise DataError(f"{os.fspath(folder)} is not a folder.", "Give a folder of pictures, or paths to predict.")
        found = (picture.source for picture in find_pictures([os.fspath(folder)]))
        for part in self._stream(found, _positive(batch_size), checked=_must_raise(unanswered), ahead=True):
            yield from part

    def stream(
        self,
        sources: Iterable[ImageInput],
        batch_size: int = DECODE_BATCH,
        *,
        unanswered: Unanswered = "raise",
    ) -> Iterator[Predictions]:
        """Classify pictures a batch at a time, in order, in bounded memory.

        Of a list or another sequence, the next batch is decoded while the model runs. Of anything else, as it may be a
        camera, no picture is asked for before its batch is.

        Args:
            sources: paths, bytes of image files, or Pillow images.
            batch_size: pictures per batch; the last batch may be smaller.
            unanswered: treatment of images without an answer, as for `predict`.

        Raises:
            ImageError: a picture cannot be decoded.
            NoAnswerError: the model gives no answer for a picture; its place is counted over the whole stream.
            UsageError: `batch_size` below 1, or something that is not a picture.
        """
        size, checked = _positive(batch_size), _must_raise(unanswered)
        yield from self._stream(sources, size, checked=checked, ahead=isinstance(sources, Sequence))

    def _stream(self, sources: Iterable[ImageInput], size: int, *, checked: bool, ahead: bool) -> Iterator[Predictions]:
        first = 0
        for batch in decoded_batches(sources, lambda source: decode_image(source, self.input_spec), size, ahead=ahead):
            pixels = np.stack([future.result() for _, future in batch])
            found = replace(self._predict_array(pixels), paths=_paths_of([source for source, _ in batch]))
            if checked:
                found.require_answers(first)
            first += len(found)
            yield found

    def evaluate(
        self,
        images: Uint8Array | ImageInput | Sequence[ImageInput],
        labels: Sequence[int] | Sequence[str] | Int64Array,
        *,
        layout: Layout = "NCHW",
    ) -> "Metrics":
        """Classify images and compare with their labels; an image without an answer counts as wrong.

        Args:
            images: images as for `predict`.
            labels: N class names, or N indices into `class_names`.
            layout: order of the axes, as for `predict`.

        Raises:
            UsageError: another number of labels than images, or one that is not a class of the model.
            As for `predict`, but for `NoAnswerError`.
        """
        return self.predict(images, layout=layout, unanswered="keep").metrics(labels)

    def replay(self, samples: GoldenSamples, tolerance: float) -> float:
        """Run golden samples and return the largest logit difference; see `GoldenSamples.check`.

        Raises:
            BundleError: they are of another shape, or the model took longer than `load_deadline` allows.
            CheckFailedError: its outputs differ from those of the export.
        """
        if samples.images.shape[1:] != self.input_spec.shape:
            raise BundleError("The golden samples are not of the shape that the model takes.", "Export it again.")
        options = ort.RunOptions() if self.plan.provider == "cpu" else None
        with load_deadline("to answer its golden samples", options):
            logits, probabilities = self._engine.run(samples.images, run_options=options)
        return samples.check(logits, probabilities, tolerance, self.temperature)

    def give_back_memory(self) -> None:
        """Give the system the working memory of the largest call so far; the next such call takes it again.

        On the CPU alone: elsewhere nothing happens.

        Raises:
            BundleError: the model fails.
        """
        if self.plan.provider != "cpu":
            return
        options = ort.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._engine.run(np.zeros((1, *self.input_spec.shape), dtype=np.uint8), run_options=options)
        give_back_freed_memory()

    def __repr__(self) -> str:
        spec = self.input_spec
        closed = ", closed" if self._engine.closed else ""
        return (
            f"Classifier({self.name!r}, {len(self.class_names)} classes, "
            f"{spec.color} {spec.height} x {spec.width}, {self.plan.variant} on {self.plan.provider}{closed})"
        )

    def close(self, *, wait: bool = True) -> None:
        """End the worker threads and free the session.

        Args:
            wait: whether the threads are waited for; a finalizer, which a garbage collection may run in a thread that
                is just being started, must not.
        """
        self._engine.close(wait=wait)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _predict_array(self, images: Uint8Array) -> Predictions:
        return Predictions(self.class_names, *self._engine.run(images), statistics=self.statistics)

    def __reduce__(self) -> "tuple[Callable[[ModelSource], Classifier], tuple[ModelSource]]":
        if self._engine.closed:
            raise UsageError("This classifier is closed, so that it cannot be pickled.", "Pickle it before.")
        return _load_again, (self.source,)


def _load_again(source: ModelSource) -> Classifier:
    classifier = Classifier.load_with(source.path, source.options)
    if classifier.sha256 != source.sha256:
        classifier.close()
        raise BundleError(
            f"The model at {source.path} is not the one that the pickled classifier had.",
            "It was replaced meanwhile: load it again.",
        )
    return classifier


def _paths_of(images: Sequence[object]) -> tuple[str, ...] | None:
    if not all(isinstance(image, str | os.PathLike) for image in images):
        return None
    return tuple(os.fspath(cast("os.PathLike[str]", image)) for image in images)


def _positive(batch_size: int) -> int:
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, not {batch_size}.")
    return batch_size


def _must_raise(unanswered: Unanswered) -> bool:
    if unanswered not in ("raise", "keep"):
        raise UsageError(f"unanswered is '{unanswered}'.", "Give 'raise' or 'keep'.")
    return unanswered == "raise"
