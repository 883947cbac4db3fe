"""`torchstone train --folds`."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from torchstone_runtime.cli.output import print_result
from torchstone_runtime.text import showable_lines

if TYPE_CHECKING:
    from torchstone_train.request import TrainingRequest


def train_folds(request: "TrainingRequest", folds: int, json_file: Path | None) -> bool:
    """Cross-validate and print the results; return whether it came to its end."""
    from torchstone_train.crossvalidation.cross_validate import cross_validate
    from torchstone_train.crossvalidation.directory import REPORT, TABLE, CrossValidationDirectory

    result = cross_validate(request, folds)
    if result is None:
        return False
    out = request.out
    print_result(
        json_file,
        lambda: {"crossvalidation": str(out), **CrossValidationDirectory(out).read_info()},
        lambda: showable_lines(
            [
                *result.lines(),
                f"report    {out / REPORT}",
                f"crossvalidation: {out}",
                f"next: torchstone data {quote(str(request.dataset))} --predictions {quote(str(out / TABLE))}",
            ]
        ),
    )
    return True
