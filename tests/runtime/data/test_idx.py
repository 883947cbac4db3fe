import contextlib
import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.data.idx import find_idx, read_idx
from torchstone_runtime.errors import DataError

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def idx_bytes(array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], code: int = 8) -> bytes:
    """Write an array in the IDX format."""
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_array_comes_back_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    """Shape and values survive, plain and compressed."""
    content = idx_bytes(IMAGES)
    path = tmp_path / f"images{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    found = read_idx(path, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, IMAGES)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple), st.booleans())
def test_any_shape_comes_back(tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...], packed: bool) -> None:
    """Also empty dimensions, which hold no data."""
    array = np.resize(np.arange(251, dtype=np.uint8), shape)
    path = tmp_path_factory.getbasetemp() / ("shape.gz" if packed else "shape")
    path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path, len(shape)), array)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("kept", range(16 + IMAGES.size))
def test_every_truncation_is_refused(tmp_path: Path, kept: int, suffix: str) -> None:
    """Cut after any byte, in the magic number, the header or the data, the file is refused by name."""
    content = idx_bytes(IMAGES)[:kept]
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(DataError, match=r"cut"):
        read_idx(path, 3)


@pytest.mark.parametrize("lost", [1, 8, 12, 30])
def test_a_truncated_gzip_stream_is_refused(tmp_path: Path, lost: int) -> None:
    """A download that broke off leaves a gzip file without its end."""
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES))[:-lost])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_idx(path, 3)


def test_a_damaged_gzip_stream_is_refused(tmp_path: Path) -> None:
    """A flipped byte in the compressed data is noticed."""
    content = bytearray(gzip.compress(idx_bytes(IMAGES)))
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"images\.gz"):
        read_idx(path, 3)


def test_a_gz_name_on_a_plain_file_is_refused(tmp_path: Path) -> None:
    """The name says compressed, the content is not."""
    path = tmp_path / "images.gz"
    path.write_bytes(idx_bytes(IMAGES))
    with pytest.raises(DataError, match="damaged or truncated"):
        read_idx(path, 3)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_data_after_the_end_is_refused(tmp_path: Path, suffix: str) -> None:
    """One byte more than the header states is as wrong as one less."""
    content = idx_bytes(IMAGES) + b"\0"
    path = tmp_path / f"long{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(DataError, match="24 bytes of data, but holds more"):
        read_idx(path, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"not an idx file at all",
        idx_bytes(IMAGES, code=0x0D),  # float32
        idx_bytes(IMAGES[0]),  # two dimensions
        b"\x01" + idx_bytes(IMAGES)[1:],
        b"",
    ],
)
def test_another_magic_number_is_refused(tmp_path: Path, content: bytes) -> None:
    """Another format, type or number of dimensions is told by the first four bytes."""
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match="expected the bytes 00 00 08 03, found"):
        read_idx(path, 3)


def test_an_absurd_size_is_refused_unread(tmp_path: Path) -> None:
    """A header that states more than 4 GiB is refused for that."""
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 28))
    with pytest.raises(DataError, match="at most"):
        read_idx(path, 3)


def test_a_lying_header_costs_no_memory(tmp_path: Path) -> None:
    """A file of 1 KiB that states 4 GiB is refused by a process that may have 1 GiB."""
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 5_000_000, 28, 28) + bytes(1000))
    program = """
import resource, sys
from pathlib import Path
from torchstone_runtime.data.idx import read_idx
from torchstone_runtime.errors import DataError
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    read_idx(Path(sys.argv[1]), 3)
except DataError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", program, path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert "3,920,000,000 bytes of data, but holds 1,000" in result.stdout, result.stderr


def test_the_plain_file_is_preferred(tmp_path: Path) -> None:
    """Where both are there the plain one is found, else the compressed one, else none."""
    assert find_idx(tmp_path, "x") is None
    (tmp_path / "x.gz").touch()
    assert find_idx(tmp_path, "x") == tmp_path / "x.gz"
    (tmp_path / "x").touch()
    assert find_idx(tmp_path, "x") == tmp_path / "x"


@settings(deadline=None, max_examples=100)
@given(content=st.binary(max_size=80), packed=st.booleans(), dimensions=st.sampled_from([1, 3]))
def test_any_bytes_give_an_array_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, packed: bool, dimensions: int
) -> None:
    """Nothing else ever escapes, also behind a right magic number."""
    path = tmp_path_factory.getbasetemp() / ("fuzz.gz" if packed else "fuzz")
    for start in (b"", bytes((0, 0, 8, dimensions))):
        path.write_bytes(gzip.compress(start + content) if packed else start + content)
        with contextlib.suppress(DataError):
            assert read_idx(path, dimensions).ndim == dimensions


def test_an_absurd_shape_behind_a_side_of_zero_is_refused(tmp_path: Path) -> None:
    """It holds no byte, as stated, but NumPy has no array of that shape."""
    path = tmp_path / "images"
    path.write_bytes(bytes.fromhex("00000803 ff5d0000 00000000 ffffff00"))
    with pytest.raises(DataError, match="at most"):
        read_idx(path, 3)
