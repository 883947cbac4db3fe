"""Which directory a training may take for its run, and for how long it alone may write there."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import OutputError, UsageError
from torchstone_runtime.file_locks import close_folder, open_folder
from torchstone_runtime.file_locks import lock as lock_handle
from torchstone_runtime.files import reported_as_output_error

_INFO: Final = "run.json"
_FILES: Final = (_INFO, "history.jsonl", "best.safetensors", "report.html")
_LEARNT: Final = ("history.jsonl", "best.safetensors", "last/checkpoint.pt", "report.html", "figures")
"""What comes of an epoch: without any of it a run has only begun."""
_FOLDERS: Final = {
    "last": re.compile(r"checkpoint\.pt"),
    "figures": re.compile(r"\w+\.(png|svg)"),
    "tensorboard": re.compile(r"events\.out\.tfevents\..+"),
}
"""The folders of a run, and the names of the files in each."""
_PARTIAL: Final = re.compile(r"\.(.+?)\.[^.]+\.partial")
"""What a kill leaves of a file that was being written (`files.atomic_writer`)."""


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keep a run directory from other trainings for the time of the block; make it where it is missing.

    The claim ends with the process, however that ends. Folders that were made for it, and are empty when the block
    fails, go again.

    Raises:
        UsageError: another training has claimed it.
        OutputError: it can't be made or written.
    """
    place = Path(os.path.realpath(path))  # where a link leads, even if that is missing
    missing = [folder for folder in (place, *place.parents) if not folder.exists()]
    try:
        with reported_as_output_error(path):
            lock = _lock(place, path)
    except OutputError:
        _remove_empty(missing)
        raise
    try:
        yield
    except BaseException:
        _remove_empty(missing)
        raise
    finally:
        close_folder(lock)


def _lock(place: Path, shown: Path) -> int | None:
    while True:
        place.mkdir(parents=True, exist_ok=True)
        if not os.access(place, os.W_OK | os.X_OK):
            raise OutputError(f"Cannot write {shown}: no permission, or a read-only disk.", "Choose another --out.")
        lock = open_folder(place)
        try:
            lock_handle(lock, wait=False)
        except BlockingIOError as error:
            close_folder(lock)
            raise UsageError(
                f"Another training is writing to {shown}.", "Wait until it has ended, or choose another --out."
            ) from error
        except OSError:  # a file system without locks: then nobody is told
            return lock
        if lock is None or _is_at(lock, place):
            return lock
        close_folder(lock)  # the other training that made it has just taken it away


def _is_at(handle: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), place.stat())
    except FileNotFoundError:
        return False


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # it is not empty, or was never made
            folder.rmdir()


def holds_run(path: Path, *, overwrite: bool) -> bool:
    """Return whether a run is to be replaced; False where the directory is free: missing, empty, or as good as that.

    As good as empty is what a training leaves that was killed before its first epoch was saved.

    Raises:
        UsageError: there is a run and `overwrite` is not set, or there are files that no training wrote.
        OutputError: the directory can't be read.
    """
    with reported_as_output_error(path):
        if not path.is_dir() or not any(path.iterdir()):
            return False
        foreign, begun = _foreign(path), _is_run_info(path / _INFO)
        if foreign or not (begun or _is_bare_start(path)):
            what = f" ({', '.join(foreign[:3])})" if foreign else ""
            raise UsageError(f"{path} holds other files{what}.", "Choose a new directory for the run.")
        if not begun or _has_only_begun(path):
            return False
    if not overwrite:
        raise UsageError(f"{path} holds a run already.", "Use --resume, --overwrite, or another --out.")
    return True


def remove_run(path: Path) -> None:
    """Remove the files of a run, and nothing else; the directory stays.

    Raises:
        OutputError: one can't be removed.
    """
    with reported_as_output_error(path):
        ours = [entry for entry in path.iterdir() if _is_ours(entry)]
        # run.json last: until then a kill leaves what is known to be a run.
        for entry in sorted(ours, key=lambda entry: entry.name == _INFO):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)


def remove_partial_files(path: Path) -> None:
    """Remove what kills left of the files of a run that were being written.

    Raises:
        OutputError: one can't be removed.
    """
    with reported_as_output_error(path):
        for entry in (*path.glob(".*.partial"), *path.glob("*/.*.partial")):
            known = _FOLDERS.get(entry.parent.name) if entry.parent != path else None
            name = _whole_name(entry.name)
            if name in _FILES if known is None else known.fullmatch(name):
                entry.unlink(missing_ok=True)


def _foreign(path: Path) -> list[str]:
    names = [entry.name for entry in path.iterdir() if not _is_ours(entry)]
    if (path / _INFO).exists() and not _is_run_info(path / _INFO):
        names.append(_INFO)
    for folder, known in _FOLDERS.items():
        if (path / folder).is_dir() and not (path / folder).is_symlink():
            inside = list((path / folder).iterdir())
            strange = (entry for entry in inside if entry.is_dir() or not known.fullmatch(_whole_name(entry.name)))
            names += [f"{folder}/{entry.name}" for entry in strange]
    return sorted(names)


def _is_ours(entry: Path) -> bool:
    is_folder = entry.is_dir() and entry.name in _FOLDERS
    return is_folder or (not entry.is_dir() and _whole_name(entry.name) in _FILES)


def _whole_name(name: str) -> str:
    partial = _PARTIAL.fullmatch(name)
    return partial[1] if partial else name


def _is_run_info(file: Path) -> bool:
    content = _read(file)
    return "format_version" in content and not content.keys().isdisjoint({"recipe", "stop_reason"})


def _has_only_begun(path: Path) -> bool:
    return _read(path / _INFO).get("stop_reason") == "running" and not any((path / name).exists() for name in _LEARNT)


def _is_bare_start(path: Path) -> bool:
    # A kill before run.json was written leaves a part of it, or an empty folder.
    return all(
        _whole_name(entry.name) == _INFO or (entry.name == "last" and not any(entry.iterdir()))
        for entry in path.iterdir()
    )


def _read(file: Path) -> dict[str, object]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
