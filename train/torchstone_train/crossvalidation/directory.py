"""The directory of a cross-validation: a run for each fold, and the results beside them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.files import reported_as_output_error
from torchstone_runtime.text import shortlist
from torchstone_train.run.run_claim import holds_run, remove_run
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.run.versioned_json import read_versioned, write_versioned
from torchstone_train.training.stopping import StopReason

INFO: Final = "crossvalidation.json"
PREDICTIONS: Final = "predictions.npz"
TABLE: Final = "predictions.csv"
REPORT: Final = "report.html"
FEATURES: Final = ".features"
"""Features that the folds of a probe share."""
_RESULTS: Final = (PREDICTIONS, TABLE, REPORT)
_FORMAT_VERSION: Final = 1
_COMPLETE: Final = (StopReason.MAX_EPOCHS, StopReason.EARLY_STOPPING, StopReason.TARGET_REACHED)
_OTHER_OUT: Final = "Choose a new directory: --out."


@dataclass(frozen=True, slots=True)
class CrossValidationDirectory:
    """`crossvalidation.json`, the predictions and the report, and below it `fold-1`, `fold-2`, and so on."""

    path: Path

    def fold(self, number: int) -> RunDirectory:
        """Return the run of a fold, from 1, which may be missing."""
        return RunDirectory(self.path / f"fold-{number}")

    def has_begun(self, number: int) -> bool:
        """Whether the run of a fold was begun, so that it is continued."""
        return (self.fold(number).path / "run.json").is_file()

    def is_complete(self, number: int) -> bool:
        """Whether the run of a fold ended with its epochs, its patience or its target."""
        if not self.has_begun(number) or not self.fold(number).has_weights:
            return False
        return self.fold(number).read_info().get("stop_reason") in _COMPLETE

    def begin(self, settings: Mapping[str, Any], *, resume: bool, overwrite: bool, check: Callable[[], object]) -> None:
        """Take the directory for a cross-validation with some settings.

        Args:
            settings: settings that must be the same for it to go on, as JSON data.
            resume: whether one that was begun goes on.
            overwrite: whether one that is there is removed.
            check: function that raises what would end the training, called before an earlier one is removed.

        Raises:
            UsageError: one is there and neither is set, its settings are others, or other files lie there.
            DataError: the record of the one that is to go on is damaged.
            OutputError: it can't be read or written.
        """
        if resume and overwrite:
            raise UsageError("--resume and --overwrite contradict each other.", "Leave one out.")
        stands = self._stands()
        if stands and resume:
            self._check_same(settings)
            return
        if stands and not overwrite:
            raise UsageError(
                f"{self.path} holds a cross-validation already.", "Use --resume, --overwrite, or another --out."
            )
        if stands:
            check()
            self._remove()
        self.write_info({"settings": dict(settings), "state": "running"})

    def write_info(self, info: Mapping[str, Any]) -> None:
        """Write `crossvalidation.json`."""
        write_versioned(self.path / INFO, _FORMAT_VERSION, info)

    def read_info(self) -> dict[str, Any]:
        """Return `crossvalidation.json`.

        Raises:
            DataError: it is missing or damaged.
        """
        file = self.path / INFO
        if not file.is_file():
            raise DataError(f"There is no cross-validation at {self.path}: {INFO} is missing.")
        return read_versioned(file, _FORMAT_VERSION, "Train again with --overwrite.")

    def _stands(self) -> bool:
        with reported_as_output_error(self.path):
            names = sorted(entry.name for entry in self.path.iterdir()) if self.path.is_dir() else []
        foreign = [name for name in names if not self._is_ours(name)]
        if foreign or (names and INFO not in names):
            raise UsageError(f"{self.path} holds other files ({shortlist(foreign or names, 3)}).", _OTHER_OUT)
        return INFO in names

    def _is_ours(self, name: str) -> bool:
        is_fold = name.startswith("fold-") and name[5:].isdigit() and (self.path / name).is_dir()
        return is_fold or name in (INFO, *_RESULTS, FEATURES) or (name.startswith(".") and name.endswith(".partial"))

    def _remove(self) -> None:
        with reported_as_output_error(self.path):
            folders = sorted(self.path.glob("fold-*"))
            for folder in folders:
                holds_run(folder, overwrite=True)  # of all first: a foreign file in one keeps the others too
            for name in _RESULTS:
                (self.path / name).unlink(missing_ok=True)
            for folder in folders:
                remove_run(folder)
                folder.rmdir()

    def _check_same(self, settings: Mapping[str, Any]) -> None:
        try:
            before = self.read_info()["settings"]
            different = [key for key in settings if before[key] != settings[key]]
        except KeyError as error:
            raise DataError(f"{self.path / INFO} is not valid: {error!r}.", "Train again with --overwrite.") from error
        if different:
            raise UsageError(
                f"The cross-validation was made with other settings: {', '.join(different)}.",
                "Give the same ones to resume it.",
            )
