"""`Classifier`: a bundle, checked and ready to classify."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from torchstone_runtime.bundle import Bundle
from torchstone_runtime.cpu import usable_cpus
from torchstone_runtime.engine import CPU_TILE, GPU_TILE, Engine, Float32Array
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.golden import GoldenSamples
from torchstone_runtime.images import ImageInput, Uint8Array, decode_image
from torchstone_runtime.input_spec import InputSpec
from torchstone_runtime.manifest import METADATA_KEY, parse_essentials
from torchstone_runtime.providers import OpenedSession, open_session

DECODE_BATCH: Final = 256
"""Pictures decoded and held at once where files are classified."""


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """What the model says of N images, in their order.

    Attributes:
        class_names: the K classes in the order of the columns below.
        logits: float32 [N, K].
        probabilities: float32 [N, K]; each row sums to 1.
    """

    class_names: tuple[str, ...]
    logits: Float32Array
    probabilities: Float32Array

    @property
    def indices(self) -> npt.NDArray[np.int64]:
        """Most probable class of each image as its index, int64 [N]; the first one of equals."""
        indices: npt.NDArray[np.int64] = np.argmax(self.logits, axis=1)
        return indices

    @property
    def labels(self) -> list[str]:
        """Most probable class of each image by name."""
        return [self.class_names[index] for index in self.indices]

    @property
    def confidences(self) -> Float32Array:
        """Probability of the most probable class of each image, float32 [N]."""
        confidences: Float32Array = np.max(self.probabilities, axis=1)
        return confidences

    def top(self, count: int) -> list[list[tuple[str, float]]]:
        """Return for each image its `count` most probable classes with their probabilities, best first."""
        # By the logits, as `indices` is: several probabilities may round to the same number.
        order = np.argsort(-self.logits, axis=1, kind="stable")[:, :count]
        return [
            [(self.class_names[column], float(row[column])) for column in columns]
            for row, columns in zip(self.probabilities, order, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.logits)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a classifier runs, and why."""

    variant: str
    provider: str
    reason: str
    threads: int
    tile: int

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.variant} on {self.provider} ({self.reason}), {threads}, tiles of {self.tile}"


class Classifier:
    """A model of a bundle, checked and ready. Make one with `Classifier.load`.

    It may be used from several threads at once. Close it, or use it as a context manager, to end its threads.

    Attributes:
        name: of the model.
        class_names: in the order of the outputs.
        input_spec: what the model takes.
        plan: variant, provider, threads and tile, with the reason.
        bundle: that it was loaded from; None for a lone file.
    """

    def __init__(
        self, *, name: str, class_names: tuple[str, ...], input_spec: InputSpec, plan: Plan, engine: Engine
    ) -> None:
        self.bundle: Bundle | None = None
        self.name = name
        self.class_names = class_names
        self.input_spec = input_spec
        self.plan = plan
        self._engine = engine

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        variant: str | None = None,
        provider: str = "auto",
        threads: int | None = None,
        replay_golden: bool = True,
    ) -> "Classifier":
        """Load a bundle, or a lone ONNX file that Torchstone exported.

        Of a bundle, the files used are checked against the manifest, and the golden samples are replayed on the
        session that will serve. A lone file carries neither hashes nor golden samples.

        Args:
            path: the bundle's directory or the `.onnx` file.
            variant: which model of the bundle; its default one if None.
            provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
            threads: calls that run at once; the processors this process may use if None.
            replay_golden: whether the golden samples are replayed.

        Raises:
            BundleError: missing, altered or not readable.
            CheckFailedError: the golden samples give other outputs here than at the export.
            ProviderError: the provider asked for cannot be had.
            UsageError: no such variant or provider, or `threads` below 1.
        """
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}.")
        if Path(path).is_file():
            return cls._load_lone_file(Path(path), variant, provider, threads)
        bundle = Bundle.open(path)
        manifest = bundle.manifest
        chosen = bundle.runnable_variant(variant)
        content = bundle.read(manifest.variants[chosen])
        classifier = cls.from_content(bundle, chosen, content, provider=provider, threads=threads)
        if replay_golden:
            classifier.replay(GoldenSamples.from_bytes(bundle.read_file("golden")), manifest.golden_tolerance)
        return classifier

    @classmethod
    def from_content(
        cls, bundle: Bundle, variant: str, content: bytes, *, provider: str = "auto", threads: int | None = None
    ) -> "Classifier":
        """Make a classifier of a bundle's model file that `bundle.read` has checked; golden samples are not replayed.

        Raises:
            BundleError: ONNX Runtime cannot read it.
            ProviderError: the provider asked for cannot be had.
        """
        manifest = bundle.manifest
        classifier = cls._assemble(
            open_session(content, provider),
            manifest.name,
            manifest.class_names,
            manifest.input_spec,
            variant=variant,
            threads=threads,
        )
        classifier.bundle = bundle
        return classifier

    @classmethod
    def _load_lone_file(cls, path: Path, variant: str | None, provider: str, threads: int | None) -> "Classifier":
        if variant is not None:
            raise UsageError(f"{path} is one file, not a bundle with variants.", "Leave the variant out.")
        opened = open_session(path.read_bytes(), provider)
        metadata = opened.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if metadata is None:
            raise BundleError(
                f"{path} does not say what its input and classes are: Torchstone did not export it.",
                "Give a bundle directory or an ONNX file out of one.",
            )
        name, class_names, spec = parse_essentials(metadata)
        return cls._assemble(opened, name, class_names, spec, variant=path.name, threads=threads)

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
        _check_signature(opened.session, spec, len(class_names))
        on_cpu = opened.provider == "cpu"
        # A GPU runs one call at a time; more threads would only wait for each other.
        workers = (threads or usable_cpus()) if on_cpu else 1
        tile = CPU_TILE if on_cpu else GPU_TILE
        plan = Plan(variant, opened.provider, opened.reason, workers, tile)
        engine = Engine(opened.session, num_classes=len(class_names), workers=workers, tile=tile)
        return cls(name=name, class_names=class_names, input_spec=spec, plan=plan, engine=engine)

    def predict(self, images: Uint8Array | ImageInput | Sequence[ImageInput]) -> Predictions:
        """Classify images.

        Args:
            images: uint8 pixels of shape (N, C, H, W), (C, H, W), or with one channel (N, H, W) or (H, W);
                or a path, the bytes of an image file, a Pillow image, or a sequence of these.

        Returns:
            One row an image, in the given order; no rows for no images.

        Raises:
            UsageError: an array of another dtype or shape than the model takes.
            ImageError: a picture cannot be decoded.
        """
        if isinstance(images, np.ndarray):
            return self._predict_array(self._as_batch(images))
        if isinstance(images, str | bytes | os.PathLike | Image.Image):
            return self._predict_array(decode_image(images, self.input_spec)[np.newaxis])
        parts = list(self.stream(images))
        if not parts:
            return self._predict_array(np.empty((0, *self.input_spec.shape), dtype=np.uint8))
        logits = np.concatenate([part.logits for part in parts])
        return Predictions(self.class_names, logits, np.concatenate([part.probabilities for part in parts]))

    def stream(self, sources: Iterable[ImageInput], batch_size: int = DECODE_BATCH) -> Iterator[Predictions]:
        """Classify pictures a batch at a time, in order, in bounded memory.

        Args:
            sources: paths, bytes of image files, or Pillow images.
            batch_size: pictures a batch; the last batch may be smaller.

        Raises:
            ImageError: a picture cannot be decoded.
            UsageError: `batch_size` below 1, or something that is no picture.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size must be at least 1, not {batch_size}.")
        remaining = iter(sources)
        with ThreadPoolExecutor(usable_cpus()) as pool:
            while chunk := list(islice(remaining, batch_size)):
                decoded = pool.map(lambda source: decode_image(source, self.input_spec), chunk)
                yield self._predict_array(np.stack(list(decoded)))

    def replay(self, samples: GoldenSamples, tolerance: float) -> float:
        """Run golden samples and return the largest logit difference; see `GoldenSamples.check`."""
        if samples.images.shape[1:] != self.input_spec.shape:
            raise BundleError("The golden samples are not of the shape that the model takes.", "Export it again.")
        logits, probabilities = self._engine.run(samples.images)
        return samples.check(logits, probabilities, tolerance)

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

    def _as_batch(self, images: npt.NDArray[Any]) -> Uint8Array:
        expected = self.input_spec.shape
        if images.dtype != np.uint8:
            raise UsageError(
                f"The images are {images.dtype}; the model takes raw uint8 pixels from 0 to 255.",
                "Don't scale or normalise them: the model does that itself.",
            )
        if (
            expected[0] == 1
            and images.shape[-2:] == expected[1:]
            and images.ndim in (2, 3)
            and images.shape != expected
        ):
            images = images[..., np.newaxis, :, :]
        batch = images[np.newaxis] if images.ndim == 3 else images  # noqa: PLR2004 - C, H, W
        if batch.shape[1:] != expected:
            channels, height, width = expected
            raise UsageError(
                f"The images have the shape {images.shape}; expected (N, {channels}, {height}, {width}).",
                "Give paths or Pillow images to have them converted and resized.",
            )
        return np.ascontiguousarray(batch)


def _check_signature(session: Any, spec: InputSpec, num_classes: int) -> None:  # noqa: ANN401
    inputs = [(item.name, item.type, list(item.shape[1:])) for item in session.get_inputs()]
    outputs = {item.name: (item.type, list(item.shape[1:])) for item in session.get_outputs()}
    expected = [("images", "tensor(uint8)", list(spec.shape))]
    if inputs != expected:
        raise BundleError(f"The model's input is {inputs}, expected {expected}.", "Export the bundle again.")
    for name in ("logits", "probabilities"):
        if outputs.get(name) != ("tensor(float)", [num_classes]):
            raise BundleError(f"The model's output '{name}' is {outputs.get(name)}.", "Export the bundle again.")
