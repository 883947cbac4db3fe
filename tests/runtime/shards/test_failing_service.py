"""A web server that fails now and then: asked again, and never taken for one that lacks a picture."""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.loopback import loopback_server
from torchstone_runtime.images.encode import encode_png

PICTURE = encode_png(np.zeros((1, 28, 28), np.uint8))

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")
files = pytest.importorskip("torchstone_runtime.shards.fsspec_files")


@contextmanager
def failing(statuses: dict[str, list[int]]) -> Iterator[str]:
    """Serve a picture under every path, after some statuses for each "METHOD /path"; yield the server's address."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            key = f"{self.command} {self.path}"
            failures = statuses.get(key, [])
            status = failures[asked[key]] if asked[key] < len(failures) else 200
            asked[key] += 1
            self.send_response(status)
            self.send_header("Content-Length", str(len(PICTURE) if status == 200 else 0))
            self.end_headers()
            if self.command == "GET" and status == 200:
                self.wfile.write(PICTURE)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with loopback_server(Handler) as address:
        yield address


def score(address: str, folder: Path) -> tuple[int, str, list[str]]:
    """Score three pictures of a server; return the exit code, what was said, and the error of each."""
    (folder / "list.txt").write_text("".join(f"{address}/{number}.png\n" for number in range(3)))
    given = ("score", "fashion", f"@{folder / 'list.txt'}", "--out", folder / "out", "--format", "csv")
    result = run_in_process(*given)
    parts = sorted((folder / "out").glob("part-*"))
    return result.returncode, result.stderr, [row["error"] for part in parts for row in csv.DictReader(part.open())]


@pytest.mark.parametrize("status", [503, 429])
def test_a_server_that_fails_for_a_moment_is_asked_again(tmp_path: Path, status: int) -> None:
    """The picture has its answer."""
    with failing({"HEAD /1.png": [status, status], "GET /1.png": [status, status]}) as address:
        code, said, errors = score(address, tmp_path)
    assert (code, errors) == (0, ["", "", ""]), said


def test_a_picture_that_is_not_there_is_a_row(tmp_path: Path) -> None:
    """It is not asked for again."""
    with failing({"HEAD /1.png": [404], "GET /1.png": [404]}) as address:
        code, _, errors = score(address, tmp_path)
    assert (code, errors[0], errors[2]) == (0, "", "")
    assert "does not exist" in errors[1]


@pytest.mark.parametrize("status", [503, 403])
def test_a_server_that_goes_on_failing_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """With one message; no picture becomes an error for it."""
    monkeypatch.setattr(files, "_PAUSES", (0.01, 0.01))
    with failing({"HEAD /1.png": [status] * 99, "GET /1.png": [status] * 99}) as address:
        code, said, errors = score(address, tmp_path)
    assert (code, said.count("Error:"), errors) == (2, 1, [])
    assert f"1.png cannot be read: {status}" in said


def test_a_server_that_is_gone_ends_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there any more."""
    monkeypatch.setattr(files, "_PAUSES", (0.01, 0.01))
    code, said, errors = score("http://127.0.0.1:9", tmp_path)
    assert (code, said.count("Error:"), errors) == (2, 1, [])


def test_a_folder_that_cannot_be_listed_for_a_moment_is_not_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pictures would be missing from the plan, without a word."""
    from fsspec.implementations.memory import MemoryFileSystem
    from pyarrow.fs import FileSelector

    class Failing(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        cachable = False
        failures = 1

        def ls(self, *arguments: object, **options: object) -> object:
            self.failures -= 1
            if self.failures >= 0:
                raise ConnectionResetError("the connection broke")
            return super().ls(*arguments, **options)

    monkeypatch.setattr(files, "_PAUSES", (0.01,))
    system = Failing()
    system.pipe({"/failing/a.png": PICTURE, "/failing/below/b.png": PICTURE})
    found = files.FsspecFiles(system).get_file_info_selector(FileSelector("/failing"))
    assert [one.base_name for one in found] == ["a.png", "below"]
    system.failures = 2
    with pytest.raises(ConnectionResetError):
        files.FsspecFiles(system).get_file_info_selector(FileSelector("/failing", allow_not_found=True))
    assert not files.FsspecFiles(system).get_file_info_selector(FileSelector("/none", allow_not_found=True))
