"""`Scorer`: pictures to answers a batch at a time, as the class that Ray Data's `map_batches` takes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np

from torchstone_runtime.errors import UsageError, suggestion
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.scoring.job import OutputOptions
from torchstone_runtime.scoring.packed_model import BundleSource, load_packed, one_thread
from torchstone_runtime.scoring.rows import score_items
from torchstone_runtime.scoring.shard_pipeline import batch_size
from torchstone_runtime.shards.item import ShardItem
from torchstone_runtime.text import counted

_NONE: Final = "there is no picture"


class Scorer:
    """A bundle as a function of batches, for `ray.data.Dataset.map_batches` and other pipelines that have a class.

    Each worker makes its own: hashes are checked and the golden samples replayed there. It computes on one thread.
    A picture that can't be decoded is a row with an error. Pickled, it is what it was made with.

    Args:
        bundle: path of a bundle that the worker can reach, the name of a built-in one, or what `torchstone.pack_bundle`
            returned.
        column: column of the pictures: encoded files as bytes, Hugging Face's mappings with `bytes`, or arrays, uint8
            [C, H, W], as the model takes them.
        variant: model of the bundle, by name; its default one if None.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        top: number of classes in the columns `top_classes` and `top_probabilities`; 0 for no such columns.
        probabilities: whether the column `probabilities` has those of all classes.
        coverage: probability that the right class is in the column `set`; None for no such column.
        by_class: whether that holds for the images of each class alone.
        keep: whether the batch's own columns are returned too, but for that of the pictures.

    Raises:
        As for `torchstone.load`.
    """

    def __init__(
        self,
        bundle: BundleSource,
        column: str = "bytes",
        *,
        variant: str | None = None,
        provider: str = "auto",
        top: int = 0,
        probabilities: bool = False,
        coverage: float | None = None,
        by_class: bool = False,
        keep: bool = True,
    ) -> None:
        self._made_with = (
            (bundle, column),
            {
                "variant": variant,
                "provider": provider,
                "top": top,
                "probabilities": probabilities,
                "coverage": coverage,
                "by_class": by_class,
                "keep": keep,
            },
        )
        self._column = column
        self._keep = keep
        self._output = OutputOptions(top=top, probabilities=probabilities, coverage=coverage, by_class=by_class)
        options = one_thread(LoadOptions(variant=variant, provider=provider))
        loaded = load_packed(bundle, options) if isinstance(bundle, bytes) else Classifier.load_with(bundle, options)
        self._classifier = loaded

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Score a batch.

        Args:
            batch: columns of n values by their names.

        Returns:
            The columns that are kept, then `class`, `probability`, those that were asked for, and `error`, each of n
            values; without an answer all but `error` are None (`probability` NaN).

        Raises:
            UsageError: there is no such column, it holds no pictures, or a column that is kept has an answer's name.
        """
        if self._column not in batch:
            raise UsageError(f"The batch has no column '{self._column}'.", suggestion(self._column, batch))
        rows = self.rows(batch[self._column])
        kept = {name: values for name, values in batch.items() if name != self._column} if self._keep else {}
        require_distinct(kept, rows)
        return {**kept, **{name: _array(name, values) for name, values in rows.items()}}

    def rows(self, pictures: Sequence[Any]) -> dict[str, list[Any]]:
        """Return the columns of the answers as lists; see `__call__`.

        Raises:
            UsageError: one is neither bytes, a mapping with `bytes`, an array, nor missing.
        """
        size, columns = batch_size(self._classifier.input_spec), dict[str, list[Any]]()
        for start in range(0, len(pictures), size) or (0,):
            contents = [_content(picture) for picture in pictures[start : start + size]]
            items = [ShardItem("", content, error="" if content is not None else _NONE) for content in contents]
            found = score_items(self._classifier, items, self._output).columns(self._output)
            for name, values in found.items():
                if name not in ("id", "label"):
                    columns.setdefault(name, []).extend(values)
        return columns

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self._classifier.class_names

    @property
    def output(self) -> OutputOptions:
        """What is returned of each picture."""
        return self._output

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, ...]]:
        return _make_again, (type(self), *self._made_with)


def _make_again(kind: Callable[..., Any], given: tuple[Any, ...], options: dict[str, Any]) -> Any:  # noqa: ANN401
    return kind(*given, **options)


def _content(picture: Any) -> Any:  # noqa: ANN401 - whatever a table's cell holds
    if isinstance(picture, Mapping):
        picture = picture.get("bytes")
    if isinstance(picture, bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8:
        return picture[np.newaxis] if picture.ndim == 2 else picture  # noqa: PLR2004 - one channel
    if picture is None or isinstance(picture, bytes):
        return picture
    raise UsageError(
        f"A picture is {type(picture).__name__}, not the bytes of a file or a uint8 array.",
        "Name the column that holds the pictures.",
    )


def _array(name: str, values: list[Any]) -> Any:  # noqa: ANN401 - an array of whatever the column holds
    if name == "probability":
        return np.array([np.nan if value is None else value for value in values], np.float32)
    array = np.empty(len(values), object)
    array[:] = values
    return array


def require_distinct(kept: Iterable[str], answers: Iterable[str]) -> None:
    """Refuse columns to be kept that the answers would replace.

    Raises:
        UsageError: some have the names of answers.
    """
    if taken := sorted(set(kept) & set(answers)):
        raise UsageError(
            f"The answers would replace the {counted(len(taken), 'column')} {', '.join(taken)} of the batch.",
            "Rename what the batch has before it is scored.",
        )
