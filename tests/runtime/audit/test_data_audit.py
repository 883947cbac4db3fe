import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.photographs import photograph, photograph_tree
from torchstone_runtime.audit.audited_pictures import open_source
from torchstone_runtime.audit.conclusions import SEVERITIES, find_all
from torchstone_runtime.audit.data_audit import DataAudit, audit_source
from torchstone_runtime.audit.fix_list import fix_list_csv
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import DataError
from torchstone_runtime.report.audit import audit_json, audit_text
from torchstone_runtime.report.audit_page import audit_page


def look(root: Path) -> DataAudit:
    """Audit a folder."""
    return audit_source(open_source(DatasetRef("folder", root)))


def kinds(audit: DataAudit) -> dict[str, int]:
    """Return the count of each kind of finding."""
    return {finding.kind: finding.count for finding in find_all(audit)}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fault of every kind."""
    root = tmp_path_factory.mktemp("faulty")
    photograph_tree(root / "train", {"cat": 22, "dog": 3, "owl": 2, "bee": 3})
    photograph_tree(root / "test", {"cat": 2, "dog": 2, "owl": 2}, first=100)
    cat = root / "train" / "cat"
    content = (cat / "0.jpg").read_bytes()
    (cat / "cut.jpg").write_bytes(content[: len(content) // 2])
    (cat / "empty.jpg").write_bytes(b"")
    (cat / "text.jpg").write_text("<html>404</html>")
    (cat / "notes.txt").write_text("left out")
    (cat / "copy.jpg").write_bytes(content)
    (root / "train" / "dog" / "conflict.jpg").write_bytes((cat / "1.jpg").read_bytes())
    photograph(100).resize((100, 75)).save(cat / "leak.jpg", quality=80)
    photograph(60).convert("CMYK").save(cat / "print.jpg")
    Image.fromarray(np.asarray(photograph(61).convert("L")).astype(np.uint16) * 257).save(cat / "deep.png")
    photograph(62).save(cat / "moving.gif", save_all=True, append_images=[photograph(63)])
    photograph(64).resize((20, 15)).save(cat / "tiny.png")
    return root


@pytest.fixture(scope="module")
def audit(faulty: Path) -> DataAudit:
    """Its audit."""
    return look(faulty)


def test_each_fault_is_found_once(audit: DataAudit) -> None:
    """With the number of pictures, groups or classes, the worst first."""
    assert kinds(audit) == {
        "unreadable": 3,
        "leak_test": 1,
        "label_conflicts": 1,
        "classes_missing_test": 1,
        "few_pictures": 1,
        "exact_duplicates": 1,
        "imbalance": 15,
        "animated": 1,
        "sixteen_bit": 1,
        "cmyk": 1,
        "tiny": 1,
        "left_out": 1,
    }
    order = [SEVERITIES.index(finding.severity) for finding in find_all(audit)]
    assert order == sorted(order)


def test_sound_pictures_give_no_finding(tmp_path: Path) -> None:
    """Nothing is accused falsely."""
    photograph_tree(tmp_path / "train", {"cat": 12, "dog": 12})
    photograph_tree(tmp_path / "test", {"cat": 5, "dog": 5}, first=200)
    assert find_all(look(tmp_path)) == []
    assert "No problems found" in audit_text(look(tmp_path))


def test_the_fix_list_has_a_row_for_each_picture_that_should_go(audit: DataAudit, faulty: Path) -> None:
    """Of a leak the test picture stays, of copies the first; nothing is deleted."""
    before = sorted(faulty.rglob("*"))
    rows = [line.split(",")[:2] for line in fix_list_csv(audit).decode().splitlines()]
    assert rows[0] == ["path", "kind"]
    assert {Path(path).name: kind for path, kind in rows[1:]} == {
        "cut.jpg": "unreadable",
        "empty.jpg": "unreadable",
        "text.jpg": "unreadable",
        "1.jpg": "label_conflict",
        "conflict.jpg": "label_conflict",
        "leak.jpg": "leak",
        "copy.jpg": "exact_duplicate",
    }
    assert all(Path(path).exists() for path, _ in rows[1:])
    assert sorted(faulty.rglob("*")) == before


def test_the_document_has_every_picture_that_something_is_wrong_with(audit: DataAudit) -> None:
    """As JSON data that a strict reader takes."""
    document = json.loads(json.dumps(audit_json(audit), allow_nan=False))
    assert {item["picture"] for item in document["unreadable"]} == {
        "train/cat/cut.jpg",
        "train/cat/empty.jpg",
        "train/cat/text.jpg",
    }
    (leak,) = [group for group in document["duplicates"] if group["several_parts"]]
    assert [item["picture"] for item in leak["pictures"]] == ["train/cat/leak.jpg", "test/cat/0.jpg"]
    assert document["parts"]["train"]["classes"]["owl"] == 2
    assert (document["format"], document["format_version"]) == ("torchstone-data-audit", 1)


def test_the_page_needs_nothing_around_it(audit: DataAudit) -> None:
    """It has the pictures of the groups, and loads nothing."""
    page = audit_page(audit)
    assert page.count("<img") == 6
    assert 'src="http' not in page
    assert "The same picture under two labels" in page
    assert "train/cat/cut.jpg" in page


def test_a_size_of_many_pixels_is_written_out(tmp_path: Path) -> None:
    """Not as a power of ten."""
    (tmp_path / "wide").mkdir()
    Image.new("L", (12_345, 8)).save(tmp_path / "wide" / "1.png")
    assert ">12,345<" in audit_page(look(tmp_path))


def test_names_steer_no_terminal_and_no_page(tmp_path: Path) -> None:
    """A file may be called anything."""
    root = photograph_tree(tmp_path, {"cat": 2, "dog": 2})
    (root / "cat" / "a\n<b>\x1b[31m.jpg").write_bytes(b"no picture")
    audit = look(root)
    assert "\x1b" not in audit_text(audit) + audit_page(audit)
    assert "a\\n<b>" in audit_text(audit)
    assert "<b>\\x1b" not in audit_page(audit)


def test_a_picture_that_pillow_warns_of_stops_nothing(tmp_path: Path) -> None:
    """One of too many pixels is listed as any other that can't be read."""
    root = photograph_tree(tmp_path, {"cat": 2, "dog": 2})
    Image.new("1", (10_000, 9_000)).save(root / "cat" / "huge.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert list(look(root).unreadable.values()) == ["has 10,000 x 9,000 pixels; the limit is 89,478,485 in all."]


@pytest.mark.parametrize("mode", ["I;16", "LAB"])
def test_what_a_training_reads_is_readable(tmp_path: Path, mode: str) -> None:
    """A PGM file of 16 bits, whose white the file states, and a picture in LAB colours."""
    root = photograph_tree(tmp_path, {"cat": 2, "dog": 2})
    values = np.asarray(photograph(7).convert("L")).astype(">u2") * 257
    if mode == "LAB":
        photograph(7).convert("LAB").save(root / "cat" / "lab.tif")
    else:
        header = f"P5 {values.shape[1]} {values.shape[0]} 65535\n".encode()
        (root / "cat" / "deep.pgm").write_bytes(header + values.tobytes())
    photograph(7).convert("L").save(root / "cat" / "plain.png")

    found = look(root)

    assert not found.unreadable
    assert [len(group.members) for group in found.groups] == [2]


def test_arrays_are_judged_by_equal_pixels(tmp_path: Path) -> None:
    """Copies, and one under two labels; near ones are not looked for."""
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    images[5], images[9] = images[0], images[3]
    labels = np.array([0] * 6 + [1] * 6)
    np.savez(tmp_path / "data.npz", images=images, labels=labels, class_names=np.array(["cat", "dog"]))
    audit = audit_source(open_source(DatasetRef("npz", tmp_path / "data.npz")))
    assert kinds(audit) == {"exact_duplicates": 1, "label_conflicts": 1}
    assert audit_page(audit).count("<img") == 4


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    """There is nothing that could be wrong with its labels."""
    with pytest.raises(DataError, match="no pictures in class folders"):
        look(tmp_path)


def test_duplicates_across_the_fifth_that_a_training_holds_out_are_told(tmp_path: Path) -> None:
    """Of a folder without a test part; a copy on the same side makes no figure wrong."""
    photograph_tree(tmp_path, {"cat": 10, "dog": 10})
    held_out = look(tmp_path).held_out
    names = [f"{folder}/{name}" for folder in ("cat", "dog") for name in sorted(f"{i}.jpg" for i in range(10))]
    tested = [name for name, out in zip(names, held_out.tolist(), strict=True) if out]
    trained = [name for name, out in zip(names, held_out.tolist(), strict=True) if not out]
    (tmp_path / tested[0]).write_bytes((tmp_path / trained[0]).read_bytes())
    (tmp_path / trained[1]).write_bytes((tmp_path / trained[2]).read_bytes())

    found = look(tmp_path)

    assert (len(tested), kinds(found)["leak_held_out"]) == (4, 1)
    assert len(found.groups) == 2
    assert look(tmp_path).names == names
