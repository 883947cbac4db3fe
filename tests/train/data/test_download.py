import gzip
import hashlib
import struct
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from torchvision import datasets

from torchstone_runtime.data.mnist_family import FASHION_MNIST, file_stems, load_mnist_part
from torchstone_runtime.errors import DataError, UsageError
from torchstone_train.data.download import ensure_downloaded

STEMS = (*file_stems("train"), *file_stems("test"))
GENERATOR = np.random.default_rng(3)
IMAGES = GENERATOR.integers(0, 256, (12, 28, 28), dtype=np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 10


def idx(array: "np.ndarray[Any, np.dtype[np.uint8]]") -> bytes:
    """Encode an array as an IDX file."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


CONTENT = {stem: idx(IMAGES if "images" in stem else LABELS) for stem in STEMS}
ARCHIVES = {f"{stem}.gz": gzip.compress(content, mtime=0) for stem, content in CONTENT.items()}


class Server:
    """Serves the four archives on this machine, remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: list[str] = []
        server = self

        class Handler(SimpleHTTPRequestHandler):
            def log_request(self, code: Any = "-", size: Any = "-") -> None:  # noqa: ANN401
                del code, size
                server.fetched.append(self.path.lstrip("/"))

            def log_message(self, *arguments: Any) -> None:  # noqa: ANN401
                del arguments

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.thread = Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        """The address that the names of the files are appended to."""
        return f"http://127.0.0.1:{self.http.server_port}/"

    def dataset_class(self, *mirrors: str) -> type:
        """Return torchvision's class with our mirrors and checksums."""
        sums = [(name, hashlib.md5(content, usedforsecurity=False).hexdigest()) for name, content in ARCHIVES.items()]
        body = {"mirrors": list(mirrors) or [self.url], "resources": sums}
        return type("FashionMNIST", (datasets.FashionMNIST,), body)

    def stop(self) -> None:
        """Be gone."""
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with all four files."""
    folder = tmp_path / "served"
    folder.mkdir()
    for name, content in ARCHIVES.items():
        (folder / name).write_bytes(content)
    running = Server(folder)
    yield running
    running.stop()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that is not there yet."""
    return tmp_path / "data"


def raw(data: Path) -> Path:
    """Return where the files belong."""
    return data / "FashionMNIST" / "raw"


def refusal(server: Server, data: Path, *mirrors: str) -> str:
    """Return the message of a download that fails, after checking that it leaves nothing half-written."""
    before = sorted(data.rglob("*"))
    with pytest.raises(DataError) as caught:
        ensure_downloaded("fashion-mnist", data, server.dataset_class(*mirrors))
    assert sorted(data.rglob("*")) == before
    return str(caught.value)


def test_all_files_are_fetched(server: Server, data: Path) -> None:
    """The four files arrive, and are what was served."""
    fetched = ensure_downloaded("fashion-mnist", data, server.dataset_class())
    assert {path.name: path.read_bytes() for path in fetched} == CONTENT
    assert sorted(entry.name for entry in raw(data).iterdir()) == sorted(CONTENT)


def test_fetched_files_are_read_right(server: Server, data: Path) -> None:
    """Images and labels come out as they went in."""
    ensure_downloaded("fashion-mnist", data, server.dataset_class())
    split = load_mnist_part(FASHION_MNIST, data, "train")
    assert np.array_equal(split.store.read(np.arange(12)), IMAGES[:, None])
    assert split.labels.tolist() == LABELS.tolist()


def test_nothing_is_fetched_twice(server: Server, data: Path) -> None:
    """With all files there, the server isn't asked."""
    ensure_downloaded("fashion-mnist", data, server.dataset_class())
    server.fetched.clear()
    assert ensure_downloaded("fashion-mnist", data, server.dataset_class()) == []
    assert server.fetched == []


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_file_that_is_there_is_not_fetched(suffix: str, server: Server, data: Path) -> None:
    """A file that somebody put there, plain or compressed in their own way, stays and is not asked for."""
    present = raw(data) / (STEMS[0] + suffix)
    present.parent.mkdir(parents=True)
    content = gzip.compress(CONTENT[STEMS[0]], mtime=99) if suffix else CONTENT[STEMS[0]]
    present.write_bytes(content)
    fetched = ensure_downloaded("fashion-mnist", data, server.dataset_class())
    assert {path.name for path in fetched} == set(STEMS[1:])
    assert f"{STEMS[0]}.gz" not in server.fetched
    assert present.read_bytes() == content


def test_wrong_checksum_is_refused(server: Server, data: Path) -> None:
    """A file that was altered on its way is not kept; the message says which, from where, and what to do."""
    altered = bytearray(ARCHIVES[f"{STEMS[2]}.gz"])
    altered[-9] ^= 1
    (server.folder / f"{STEMS[2]}.gz").write_bytes(altered)
    message = refusal(server, data)
    assert f"{server.url}{STEMS[2]}.gz: File not found or corrupted" in message
    assert "Without a network" in message


def test_file_missing_on_the_server_is_told(server: Server, data: Path) -> None:
    """A 404 says which file, from where, and what to do."""
    (server.folder / f"{STEMS[1]}.gz").unlink()
    message = refusal(server, data)
    assert f"{server.url}{STEMS[1]}.gz: HTTP Error 404" in message
    assert "--data-dir" in message


def test_server_that_is_gone_is_told(server: Server, data: Path) -> None:
    """Without a network the message names the files to be put in place by hand, and where."""
    server.stop()
    message = refusal(server, data)
    assert server.url in message
    assert str(raw(data)) in message
    assert all(stem in message for stem in STEMS)


def test_failed_download_leaves_no_data_directory_behind(server: Server, data: Path) -> None:
    """A folder that was made for the download goes with it."""
    server.stop()
    refusal(server, data)
    assert not data.exists()


def test_second_mirror_is_tried(server: Server, data: Path) -> None:
    """One mirror that is gone doesn't matter while another has the files."""
    fetched = ensure_downloaded("fashion-mnist", data, server.dataset_class("http://127.0.0.1:9/", server.url))
    assert len(fetched) == 4


def test_every_mirror_that_failed_is_named(server: Server, data: Path) -> None:
    """With no mirror left, each is told with its own reason."""
    (server.folder / f"{STEMS[0]}.gz").unlink()
    message = refusal(server, data, "http://127.0.0.1:9/", server.url)
    assert "http://127.0.0.1:9/" in message
    assert "HTTP Error 404" in message


def test_download_says_nothing_on_stdout(server: Server, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Torchvision's own messages don't mix with results."""
    ensure_downloaded("fashion-mnist", data, server.dataset_class())
    assert capsys.readouterr().out == ""


def test_dataset_without_download_is_refused(tmp_path: Path) -> None:
    """The digits need none; a typing error is answered with the name that was meant."""
    with pytest.raises(UsageError, match="Did you mean 'fashion-mnist'"):
        ensure_downloaded("fashion-mist", tmp_path)


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_torchvision_has_a_source_for_each_file(name: str) -> None:
    """The names that torchvision knows are those that are read."""
    source = datasets.FashionMNIST if name == "fashion-mnist" else datasets.MNIST
    assert {filename for filename, _ in source.resources} == set(ARCHIVES)
    assert source.mirrors
