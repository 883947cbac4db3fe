"""The directory that a training writes, and that export reads."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from torchstone_runtime.errors import DataError, OutputError, TorchstoneError
from torchstone_runtime.files import atomic_writer, reported_as_output_error, write_atomic
from torchstone_runtime.strict_json import strict_json
from torchstone_train.run.run_claim import holds_run, remove_run
from torchstone_train.run.versioned_json import read_versioned, write_versioned

FORMAT_VERSION: Final = 1
_RUN_FILE: Final = "run.json"
_HISTORY_FILE: Final = "history.jsonl"
_WEIGHTS_FILE: Final = "best.safetensors"
_CHECKPOINT_FILE: Final = "last/checkpoint.pt"

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A run: `run.json`, `history.jsonl`, `best.safetensors`, `last/`. Every file is replaced whole."""

    path: Path

    @classmethod
    def create(cls, path: Path, *, overwrite: bool) -> "RunDirectory":
        """Make an empty run directory; a link stays, and leads to it.

        Raises:
            UsageError: there is a run already and `overwrite` is not set, or other files lie there; nothing is deleted
                (`run_claim.holds_run`).
            OutputError: it can't be made or written.
        """
        holds_run(path, overwrite=overwrite)
        with reported_as_output_error(path):
            if path.is_dir():
                remove_run(path)
            (path / "last").mkdir(parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """Return the run at `path`.

        Raises:
            DataError: there is none.
        """
        if not (path / _RUN_FILE).is_file():
            from torchstone_runtime.bundle.builtin import builtin_names  # noqa: PLC0415 - only for a mistake
            from torchstone_runtime.path_kinds.wanted import not_a_run  # noqa: PLC0415 - only for a mistake

            raise DataError(*not_a_run(path, builtin_names()))
        return cls(path)

    def write_info(self, info: Mapping[str, Any]) -> None:
        """Write `run.json`."""
        write_versioned(self.path / _RUN_FILE, FORMAT_VERSION, info)

    def read_info(self) -> dict[str, Any]:
        """Return `run.json`.

        Raises:
            DataError: not JSON, or of another format version.
        """
        return read_versioned(self.path / _RUN_FILE, FORMAT_VERSION, "Train again.")

    @contextmanager
    def told_if_damaged(self) -> Iterator[None]:
        """Turn what comes of missing or wrong fields of `run.json`, taken apart in the block, into a DataError."""
        try:
            yield
        except TorchstoneError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(
                f"{self.path / _RUN_FILE} is not valid: {error!r}.", "Train again with --overwrite."
            ) from error

    def write_history(self, epochs: list[dict[str, Any]]) -> None:
        """Write `history.jsonl`: one JSON object per line and epoch."""
        lines = "".join(strict_json(epoch, ensure_ascii=True) + "\n" for epoch in epochs)
        write_atomic(self.path / _HISTORY_FILE, lines)

    def read_history(self) -> list[dict[str, Any]]:
        """Return the epochs of `history.jsonl`; none where there is no such file.

        Raises:
            DataError: it is damaged.
        """
        file = self.path / _HISTORY_FILE
        try:
            return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
        except (OSError, ValueError) as error:
            raise DataError(f"{file} is damaged: {error}.", "Train again with --overwrite.") from error

    def write_weights(self, weights: Weights) -> None:
        """Write `best.safetensors`."""
        write_atomic(self.path / _WEIGHTS_FILE, _encode(weights))

    def holds_weights(self, weights: Weights) -> bool:
        """Return whether `best.safetensors` is what `write_weights` makes of these."""
        return self.has_weights and (self.path / _WEIGHTS_FILE).read_bytes() == _encode(weights)

    @property
    def has_weights(self) -> bool:
        """Whether `best.safetensors` is there."""
        return (self.path / _WEIGHTS_FILE).is_file()

    def read_weights(self) -> Weights:
        """Return the tensors of `best.safetensors`.

        Raises:
            DataError: it is missing or damaged.
        """
        file = self.path / _WEIGHTS_FILE
        if not self.has_weights:
            raise DataError(f"The run has no weights: {file} is missing.", "Its training ended too early; train again.")
        try:
            return dict(load_safetensors(file.read_bytes()))
        except (SafetensorError, ValueError) as error:
            raise DataError(f"{file} is damaged: {error}.", "Train again.") from error

    def write_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Write `last/checkpoint.pt`: tensors, numbers, text, lists and dictionaries only."""
        file = self.path / _CHECKPOINT_FILE
        with reported_as_output_error(file):
            file.parent.mkdir(exist_ok=True)
        with atomic_writer(file) as target:
            try:
                torch.save(dict(state), target)
            except RuntimeError as error:  # how torch reports a failed write, say on a full disk
                raise OutputError(f"Cannot write {file}: {error}.", "Make room on the disk.") from error

    @property
    def has_checkpoint(self) -> bool:
        """Whether an epoch was saved to go on from."""
        return (self.path / _CHECKPOINT_FILE).is_file()

    def read_checkpoint(self) -> dict[str, Any] | None:
        """Return what `write_checkpoint` wrote, or None where there is none; nothing is unpickled but data.

        Raises:
            DataError: it is damaged.
        """
        file = self.path / _CHECKPOINT_FILE
        if not self.has_checkpoint:
            return None
        try:
            return dict(torch.load(file, map_location="cpu", weights_only=True))
        except Exception as error:  # torch.load raises whatever its unpickler does
            raise DataError(f"{file} is damaged: {error}.", "Train again with --overwrite.") from error


def _encode(weights: Weights) -> bytes:
    return save_safetensors({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()})
