import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from helpers.photographs import photograph, photograph_tree
from torchstone_runtime.audit.alignment import aligned_correlation
from torchstone_runtime.audit.audited_pictures import open_source
from torchstone_runtime.audit.data_audit import DataAudit, audit_source
from torchstone_runtime.audit.duplicates import ALIKE, RADIUS, Groups
from torchstone_runtime.audit.facts import ordered_map
from torchstone_runtime.audit.perceptual_hash import ROWS, close_pairs, mirrored, perceptual_hashes
from torchstone_runtime.data.catalog import DatasetRef


def look(root: Path, *, near: bool = True) -> DataAudit:
    """Audit a folder."""
    return audit_source(open_source(DatasetRef("folder", root)), near=near)


def recompressed(image: Image.Image) -> Image.Image:
    """Return a picture as JPEG of low quality."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return Image.open(buffer)


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "compressed anew": recompressed,
    "smaller": lambda image: image.resize((102, 77)),
    "larger": lambda image: image.resize((154, 115)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "of less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.85),
    "cut": lambda image: image.crop((3, 1, 126, 94)),
    "mirrored": ImageOps.mirror,
    "gray": lambda image: image.convert("L"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_found_among_other_pictures(edit: str, tmp_path: Path) -> None:
    """One group of just the two, which says whether it is mirrored."""
    root = photograph_tree(tmp_path, {"cat": 20, "dog": 20})
    EDITS[edit](photograph(7)).save(root / "cat" / "edited.jpg", quality=90)
    audit = look(root)

    assert [[audit.names[index] for index in group.members] for group in audit.groups] == [
        ["cat/7.jpg", "cat/edited.jpg"]
    ]
    assert any(audit.groups[0].mirrored) == (edit == "mirrored")
    assert not audit.groups[0].exact


def test_equal_pixels_are_an_exact_duplicate_whatever_the_file_is(tmp_path: Path) -> None:
    """A PNG of a JPEG's pixels, and a copy; also where near-duplicates are not looked for."""
    root = photograph_tree(tmp_path, {"cat": 3, "dog": 3})
    with Image.open(root / "cat" / "1.jpg") as image:
        image.save(root / "cat" / "same.png")
    (root / "dog" / "copy.jpg").write_bytes((root / "dog" / "2.jpg").read_bytes())
    audit = look(root, near=False)

    assert [[audit.names[index] for index in group.members] for group in audit.groups] == [
        ["cat/1.jpg", "cat/same.png"],
        ["dog/2.jpg", "dog/copy.jpg"],
    ]
    assert all(group.exact for group in audit.groups)


def test_a_turned_picture_equals_its_upright_copy(tmp_path: Path) -> None:
    """By the EXIF orientation, as a model is given it."""
    root = photograph_tree(tmp_path, {"cat": 2, "dog": 2})
    picture = photograph(50)
    picture.save(root / "cat" / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.transpose(Image.Transpose.ROTATE_90).save(root / "cat" / "turned.png", exif=exif)
    (group,) = look(root).groups

    assert (len(group.members), group.exact) == (2, True)


def test_flat_pictures_are_no_near_duplicates(tmp_path: Path) -> None:
    """A white and a gray one have nothing that tells them from each other, or from anything."""
    root = photograph_tree(tmp_path, {"cat": 2, "dog": 2})
    for level in (0, 100, 255):
        Image.new("RGB", (64, 64), (level, level, level)).save(root / "cat" / f"{level}.png")
    assert look(root).groups == []


def test_pairs_are_those_of_all_distances() -> None:
    """Over several blocks; each pair once, mirrored ones marked."""
    hashes = np.random.default_rng(0).integers(0, 2**64, 3 * ROWS + 5, dtype=np.uint64)
    hashes[150] = hashes[3] ^ np.uint64(0b1011)
    hashes[180] = mirrored(hashes[7:8])[0]
    found = np.concatenate([close_pairs(hashes, start, RADIUS) for start in range(0, len(hashes), ROWS)])
    expected = [
        (i, j, turned)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        for turned, one in enumerate((hashes[i], mirrored(hashes[i : i + 1])[0]))
        if int(one ^ hashes[j]).bit_count() <= RADIUS
    ]
    assert sorted(map(tuple, found.tolist())) == sorted(expected)
    assert {(3, 150, 0), (7, 180, 1)} <= set(expected)


@given(seed=st.integers(0, 10_000), gain=st.floats(0.5, 1.4), bias=st.integers(-10, 10))
@settings(max_examples=30, deadline=None)
def test_a_hash_follows_the_picture_not_its_light(seed: int, gain: float, bias: int) -> None:
    """Contrast and brightness change few bits, mirroring just those that it should."""
    picture = np.asarray(photograph(seed, (32, 32)).convert("L"), dtype=np.float64)
    lit = np.clip((picture - 128) * gain * 0.7 + 128 + bias, 0, 255)
    pictures = np.stack([picture, lit, picture[:, ::-1]]).astype(np.uint8)
    plain, other, turned = perceptual_hashes(pictures)
    assert int(plain ^ other).bit_count() <= 4
    assert int(mirrored(np.array([plain]))[0] ^ turned).bit_count() <= 1


def test_alignment_tells_a_cut_from_another_picture() -> None:
    """A picture that lost 4% of its width lies on the original again; another one doesn't."""
    whole = photograph(1, (400, 300))
    small = [
        np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX))
        for image in (whole, whole.crop((12, 0, 396, 288)), photograph(2, (400, 300)))
    ]
    original = np.stack([small[0], small[0], small[0]])
    same, cut, other = aligned_correlation(original, np.stack(small)).tolist()
    assert same == pytest.approx(1, abs=1e-5)
    assert cut > ALIKE
    assert other < 0.8


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_groups_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    """And each is named by its smallest member."""
    groups, sets = Groups(20), [{index} for index in range(20)]
    for one, other in pairs:
        groups.join(one, other)
        merged = sets[one] | sets[other]
        for index in merged:
            sets[index] = merged
    assert [groups.find(index) for index in range(20)] == [min(sets[index]) for index in range(20)]


@given(st.integers(0, 300))
@settings(max_examples=10, deadline=None)
def test_a_map_keeps_the_order(count: int) -> None:
    """Whatever number of threads works on it."""
    assert list(ordered_map(lambda item: item * item, range(count))) == [item * item for item in range(count)]
