"""Tables for pandas, which is used only where it is installed."""

from collections.abc import Mapping, Sequence
from typing import Any

from torchstone_runtime.errors import MissingComponentError


def make_frame(columns: Mapping[str, Any] | Sequence[Mapping[str, Any]], index: Sequence[Any] | None = None) -> Any:  # noqa: ANN401
    """Return a `pandas.DataFrame`.

    Args:
        columns: values by the names of the columns, or a mapping per row.
        index: labels of the rows; 0 to N - 1 if None.

    Raises:
        MissingComponentError: pandas is not installed.
    """
    try:
        import pandas as pd  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - no dependency
    except ImportError as error:
        raise MissingComponentError("pandas is not installed.", "Install it: pip install pandas") from error
    return pd.DataFrame(columns, index=index)
