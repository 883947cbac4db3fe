import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import run_in_process
from helpers.support import assert_refused, write_image_tree
from torchstone_runtime.data.folder import FileStore, list_classes, load_folder
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.decode import decode_image, decode_original
from torchstone_runtime.images.encode import encode_thumbnail
from torchstone_runtime.images.find import find_pictures
from torchstone_runtime.images.image_formats import START_BYTES, OtherFiles, format_of, is_picture
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.picture_header import picture_header

READ = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF")
ORIENTATION = 0x0112
HEIC_START = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def encoded(kind: str, size: tuple[int, int] = (20, 10), orientation: int = 1) -> bytes:
    """Encode a gray picture of width x height."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = io.BytesIO()
    Image.new("L", size, 99).save(buffer, kind, **({} if kind in ("BMP", "GIF", "PPM") else {"exif": exif}))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", READ)
def test_a_format_is_known_by_its_first_bytes(kind: str) -> None:
    """Each one that is read."""
    assert format_of(encoded(kind)[:START_BYTES]) == kind


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"Dear Sir",
        b"%PDF-1.7",
        b"<svg>",
        b"GIF",
        b"P1 is a spot",
        b"BMW",
        b"8BPS\0\1",
        b"\0\0\0\x18ftypmp42\0\0\0\0",
    ],
)
def test_other_files_are_no_pictures(start: bytes) -> None:
    """Text, other formats, films, and what only begins alike."""
    assert format_of(start) is None


@pytest.mark.parametrize("major", [b"heic", b"mif1", b"msf1", b"heix"])
def test_heic_is_told_from_avif_by_the_brands(major: bytes) -> None:
    """Both are stored in the same container, and a common brand may come first (ISO/IEC 14496-12, 4.3)."""
    for brand, kind in ((b"heic", "HEIF"), (b"avif", "AVIF")):
        start = b"\0\0\0\x18ftyp" + (major if major in (b"mif1", b"msf1") else brand) + b"\0\0\0\0miaf" + brand
        assert format_of(start) == kind


@pytest.mark.parametrize("kind", READ)
def test_a_picture_without_a_known_ending_is_used(tmp_path: Path, gray: InputSpec, kind: str) -> None:
    """`.jfif`, an ending of something else, or none at all: its content counts."""
    write_image_tree(tmp_path, {"a": 1, "b": 1})
    for name in ("x.jfif", "download", "photo.jpg_large"):
        (tmp_path / "a" / name).write_bytes(encoded(kind))
    split = load_folder(tmp_path, "whole", gray)
    assert split.ids[:4] == ["a/000.png", "a/download", "a/photo.jpg_large", "a/x.jfif"]
    assert len(split.store.read(np.arange(5))) == 5


def test_other_files_are_counted_and_named(tmp_path: Path, gray: InputSpec) -> None:
    """All are counted, some are named; what systems leave behind is not."""
    write_image_tree(tmp_path, {"a": 1, "b": 1})
    for name in ("notes.txt", "film.mp4", "labels.csv", "more.md", "Thumbs.db", ".DS_Store"):
        (tmp_path / "a" / name).write_bytes(b"\0\0\0\x18ftypmp42")
    store = load_folder(tmp_path, "whole", gray).select(np.array([1]), "part").store
    assert isinstance(store, FileStore)
    assert store.others == OtherFiles(4, ["film.mp4", "labels.csv", "more.md"])


def test_one_other_file_is_told_of_in_one_line() -> None:
    """And none in no line; a name can't steer the terminal."""
    others = OtherFiles()
    assert others.lines("x") == []
    others.add("a\x1b[2J")
    assert others.lines("x") == ["left out: 1 file is not a picture in a supported format, in x: a\\x1b[2J"]


def test_pipes_and_unreadable_files_are_no_pictures(tmp_path: Path) -> None:
    """Looking at one doesn't wait."""
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    assert not any(is_picture(str(tmp_path / name)) for name in ("pipe", "pipe.png", "folder.png", "nothing.png"))


def test_a_link_outside_is_not_looked_into(tmp_path: Path) -> None:
    """Not even to see whether it is a picture."""
    root = write_image_tree(tmp_path / "data", {"a": 1, "b": 1})
    (tmp_path / "secret").write_bytes(encoded("PNG"))
    (root / "a" / "link").symlink_to(tmp_path / "secret")
    assert list_classes(root)["a"] == ["a/000.png"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_header_has_the_size_of_the_upright_picture(kind: str, orientation: int) -> None:
    """For each value of the EXIF orientation, in each format that has one, as decoding makes it."""
    content = encoded(kind, orientation=orientation)
    header = picture_header(content)
    assert (header.height, header.width) == decode_original(content, "L").shape[1:]
    assert (header.height, header.width) == ((20, 10) if orientation >= 5 else (10, 20))


@pytest.mark.parametrize(("mode", "is_gray"), [("1", True), ("L", True), ("I;16", True), ("RGB", False), ("P", False)])
def test_the_header_tells_gray_from_colour(mode: str, is_gray: bool) -> None:
    """Modes of one channel are gray; a palette may have colours."""
    buffer = io.BytesIO()
    Image.new(mode, (3, 2)).save(buffer, "PNG")
    assert picture_header(buffer.getvalue()).is_gray is is_gray


def test_avif_is_read(gray: InputSpec) -> None:
    """Nearly as it was, for it is lossy."""
    assert np.abs(decode_image(encoded("AVIF"), gray).astype(int) - 99).max() <= 2


def test_heic_without_its_library_says_what_to_install(
    gray: InputSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In each place that opens pictures, by content."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(HEIC_START)
    for read in (lambda: decode_image(path, gray), lambda: picture_header(path), lambda: encode_thumbnail(path, 9)):
        with pytest.raises(ImageError, match=r"(?s)IMG_0001\.HEIC is a HEIC picture.*install '\.\[heic\]' in a clone"):
            read()


def test_heic_is_read_where_its_library_is_installed(gray: InputSpec, tmp_path: Path) -> None:
    """Upright, and Pillow itself is left as it was."""
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = tmp_path / "photo"
    pillow_heif.from_pillow(Image.new("RGB", (80, 40), (99, 99, 99))).save(path, exif=exif.tobytes())
    header = picture_header(path)
    assert (header.height, header.width) == decode_original(path, "L").shape[1:]
    assert np.abs(decode_image(path, gray).astype(int) - 99).max() <= 3
    assert "HEIF" not in Image.OPEN


def test_a_damaged_heic_is_an_image_error(gray: InputSpec) -> None:
    """Whatever the library raises."""
    pytest.importorskip("pillow_heif")
    with pytest.raises(ImageError):
        decode_image(HEIC_START, gray)


def test_predict_names_what_it_leaves_out_of_folders(digits_bundle: Path, tmp_path: Path) -> None:
    """On one line of stderr; pictures without an ending are classified."""
    write_image_tree(tmp_path / "in", {"a": 1})
    (tmp_path / "in" / "download").write_bytes(encoded("JPEG"))
    (tmp_path / "in" / "list.txt").write_text("a.png")
    result = run_in_process("predict", digits_bundle, tmp_path / "in")
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 2
    assert "left out: 1 file is not a picture in a supported format, in the folders: list.txt\n" in result.stderr


def test_evaluate_names_what_it_leaves_out(digits_bundle: Path, tmp_path: Path) -> None:
    """On one line of stderr."""
    write_image_tree(tmp_path / "in", {"0": 2, "1": 2})
    (tmp_path / "in" / "0" / "list.txt").write_text("a.png")
    result = run_in_process("evaluate", digits_bundle, "--data", f"folder:{tmp_path / 'in'}")
    assert result.returncode == 0
    assert result.stderr.count("left out: 1 file is not a picture") == 1


def test_a_byte_order_mark_before_a_list_of_paths_is_no_part_of_the_first(tmp_path: Path) -> None:
    """Windows' editors write one."""
    write_image_tree(tmp_path, {"a": 2})
    names = [str(tmp_path / "a" / "000.png"), str(tmp_path / "a" / "001.png")]
    stdin = io.BufferedReader(io.BytesIO(b"\xef\xbb\xbf" + "\r\n".join(names).encode()))
    found = find_pictures(["-"], stdin)  # type: ignore[arg-type]  # typeshed's BufferedReader has a parameter
    assert [picture.name for picture in found] == names


def test_a_heic_file_among_pictures_is_reported_and_the_others_are_done(digits_bundle: Path, tmp_path: Path) -> None:
    """With what to install, where the library is missing."""
    write_image_tree(tmp_path, {"a": 1})
    (tmp_path / "a" / "IMG_1.heic").write_bytes(HEIC_START)
    result = run_in_process("predict", digits_bundle, tmp_path / "a")
    assert result.returncode == 1
    assert "IMG_1.heic" in result.stderr
    assert_refused(run_in_process("predict", digits_bundle, tmp_path / "a" / "IMG_1.heic"), "IMG_1.heic")
