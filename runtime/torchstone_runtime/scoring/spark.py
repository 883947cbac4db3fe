"""The function that Spark's `DataFrame.mapInArrow` takes: Arrow batches to Arrow batches with the answers."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from torchstone_runtime.components import require_component
from torchstone_runtime.scoring.packed_model import BundleSource
from torchstone_runtime.scoring.scorer import Scorer, require_distinct

Batches = Iterable[Any]


def score_arrow(
    bundle: BundleSource,
    *,
    column: str = "content",
    keep: tuple[str, ...] = ("path",),
    **options: Any,  # noqa: ANN401 - those of Scorer
) -> Callable[[Batches], Iterator[Any]]:
    """Return a function from an iterator of `pyarrow.RecordBatch` to such an iterator, for `DataFrame.mapInArrow`.

    It is picklable. A Spark worker that is used again for the next partition keeps the model that it has loaded.

    Args:
        bundle: bundle, as for `Scorer`; with Spark best as bytes (`torchstone.pack_bundle`).
        column: column of the pictures; `content` and `path` are those of Spark's reader `binaryFile`.
        keep: columns that are returned too, as they came.
        options: `variant`, `provider`, `top`, `probabilities`, `coverage` and `by_class`, as for `Scorer`.
    """

    def score(batches: Batches) -> Iterator[Any]:
        require_component("scale", "pyarrow")
        import pyarrow as pa  # noqa: PLC0415 - optional

        from torchstone_runtime.scoring.parquet_encoder import part_schema  # noqa: PLC0415 - pyarrow

        scorer = _scorer(bundle, column, tuple(sorted(options.items())))
        schema = part_schema(scorer.output, len(scorer.class_names))
        for batch in batches:
            answers = scorer.rows(batch.column(column).to_pylist())
            require_distinct(keep, answers)
            kept = {name: batch.column(name) for name in keep}
            made = {name: pa.array(values, _plain(schema.field(name).type)) for name, values in answers.items()}
            yield pa.RecordBatch.from_pydict({**kept, **made})

    return score


def spark_schema(
    keep: str = "path string", *, top: int = 0, probabilities: bool = False, coverage: float | None = None
) -> str:
    """Return the schema of what `score_arrow` yields, as `mapInArrow` takes it.

    Args:
        keep: the kept columns with their types, in Spark's notation; empty for none.
        top: number of classes, as for `score_arrow`.
        probabilities: whether all probabilities are there.
        coverage: coverage of the sets; None for none.
    """
    fields = [keep] if keep else []
    fields += ["class string", "probability float"]
    fields += ["top_classes array<string>", "top_probabilities array<float>"] if top else []
    fields += ["probabilities array<float>"] if probabilities else []
    fields += ["set array<string>"] if coverage is not None else []
    return ", ".join([*fields, "error string"])


def _plain(kind: Any) -> Any:  # noqa: ANN401 - a pyarrow.DataType
    import pyarrow as pa  # noqa: PLC0415 - optional

    # Spark has no lists of a fixed size.
    return pa.list_(kind.value_type) if pa.types.is_fixed_size_list(kind) else kind


def _scorer(bundle: BundleSource, column: str, options: tuple[tuple[str, Any], ...]) -> Scorer:
    key = hashlib.sha256(bundle).hexdigest() if isinstance(bundle, bytes) else str(bundle)
    return _cached(_Keyed(key, bundle), column, options)


@lru_cache(maxsize=2)
def _cached(bundle: "_Keyed", column: str, options: tuple[tuple[str, Any], ...]) -> Scorer:
    return Scorer(bundle.given, column, keep=False, **dict(options))


class _Keyed:
    """A bundle that is known by its hash or path."""

    def __init__(self, key: str, given: BundleSource) -> None:
        self.key = key
        self.given = given

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)
