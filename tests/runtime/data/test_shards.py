"""`shards:PATTERN`: pictures in archives and tables are the dataset that they are in a folder."""

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchstone_runtime.audit.audited_pictures import open_source
from torchstone_runtime.audit.data_audit import audit_source
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError, ImageError, UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.report.audit_page import audit_page

SPEC = InputSpec(color="RGB", height=8, width=9, mean=(0.5,) * 3, std=(0.5,) * 3)
Sample = tuple[str, str, bytes]
"""Class, file name, content."""


def make_samples(folder: Path, classes: Sequence[str] = ("cat", "dog", "Zébra"), each: int = 7) -> list[Sample]:
    """Write a folder of JPEG and PNG pictures, and return them in another order."""
    rng = np.random.default_rng(0)
    samples = []
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in rng.permutation(100)[:each].tolist():
            buffer = io.BytesIO()
            pixels = rng.integers(0, 256, (11, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(buffer, "PNG" if number % 2 else "JPEG")
            file = f"{name[0]}{number}.{'png' if number % 2 else 'jpg'}"
            (folder / name / file).write_bytes(buffer.getvalue())
            samples.append((name, file, buffer.getvalue()))
    return [samples[place] for place in rng.permutation(len(samples)).tolist()]


def write_tar(path: Path, samples: Sequence[Sample], mode: str = "w", label: str = "cls") -> Path:
    """Write samples as WebDataset does, with labels in `.cls` or in `.json`."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # a mode by its name
        for name, file, content in samples:
            facts = name if label == "cls" else f'{{"label": "{name}"}}'
            for member, data in ((file, content), (f"{file.partition('.')[0]}.{label}", facts.encode())):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def write_parquet(path: Path, samples: Sequence[Sample]) -> Path:
    """Write samples as Hugging Face does, in row groups of 4."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"bytes": content, "path": file} for _, file, content in samples]
    columns = {"image": rows, "label": [name for name, _, _ in samples], "file": [file for _, file, _ in samples]}
    pq.write_table(pa.table(columns), path, row_group_size=4)
    return path


def dataset(text: str, spec: InputSpec = SPEC, class_names: tuple[str, ...] | None = None) -> Dataset:
    """Return a dataset by its name."""
    return Dataset(DatasetRef.parse(text), Path(), spec, class_names)


def assert_same(one: Split, other: Split) -> None:
    """Fail unless two splits have the same pixels, labels and classes in the same order."""
    assert one.class_names == other.class_names
    assert one.labels.tolist() == other.labels.tolist()
    assert np.array_equal(one.in_memory().store.read(np.arange(len(one))), np.concatenate([*other.batches(3)]))
    assert one.fingerprint == other.fingerprint


def _two_tars(place: Path, samples: Sequence[Sample]) -> str:
    write_tar(place / "s-000.tar", samples[::2])
    write_tar(place / "s-001.tar", samples[1::2], label="json")
    return f"{place}/s-{{000..001}}.tar"


WAYS: dict[str, Callable[[Path, Sequence[Sample]], str]] = {
    "archives": _two_tars,
    "compressed archive": lambda place, samples: str(write_tar(place / "s.tar.gz", samples, "w:gz")),
    "Parquet": lambda place, samples: f"{write_parquet(place / 's.parquet', samples)}?id=file",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_splits_are_those_of_the_folder(way: str, tmp_path: Path) -> None:
    """Pixels, labels, classes, order and names."""
    samples = make_samples(tmp_path / "photos")
    folder, shards = dataset(f"folder:{tmp_path / 'photos'}"), dataset(f"shards:{WAYS[way](tmp_path, samples)}")

    for one, other in ((folder.training(), shards.training()), (folder.test(), shards.test())):
        assert_same(one, other)
        assert [name.rpartition("/")[2] for name in one.ids] == list(other.ids)


def test_parts_are_told_by_the_names_of_files(tmp_path: Path) -> None:
    """`train-…` and `test-…`, and a folder called val."""
    samples = make_samples(tmp_path / "photos" / "all")
    (tmp_path / "shards" / "val").mkdir(parents=True)
    write_tar(tmp_path / "shards" / "train-0.tar", samples[:12])
    write_tar(tmp_path / "shards" / "test-00000-of-00001.tar", samples[12:18])
    write_tar(tmp_path / "shards" / "val" / "0.tar", samples[18:])
    read = dataset(f"shards:{tmp_path / 'shards'}")
    validation = read.validation()

    assert (len(read.training()), len(read.test())) == (12, 6)
    assert validation is not None
    assert len(validation) == 3


def test_classes_come_in_the_order_of_the_model(tmp_path: Path) -> None:
    """As a folder's do."""
    samples = make_samples(tmp_path / "photos")
    order = ("dog", "Zébra", "cat")
    write_tar(tmp_path / "s.tar", samples)

    assert_same(
        dataset(f"folder:{tmp_path / 'photos'}", class_names=order).whole(),
        dataset(f"shards:{tmp_path / 's.tar'}", class_names=order).whole(),
    )


def test_numbers_are_places_among_the_classes(tmp_path: Path) -> None:
    """10 comes after 9, and names of a model are not asked for."""
    samples = make_samples(tmp_path / "photos", [str(number) for number in range(11)], each=1)
    write_tar(tmp_path / "s.tar", samples)
    read = dataset(f"shards:{tmp_path / 's.tar'}").whole()
    named = dataset(f"shards:{tmp_path / 's.tar'}", class_names=tuple("abcdefghijk")).whole()

    assert read.class_names == tuple(map(str, range(11)))
    assert not named.names_given
    assert named.labels.tolist() == read.labels.tolist()


def test_a_number_that_training_lacks_is_refused(tmp_path: Path) -> None:
    """Its class would take the place of another one."""
    samples = make_samples(tmp_path / "folder", ("0", "1", "2"), each=2)
    write_tar(tmp_path / "train-0.tar", [sample for sample in samples if sample[0] != "1"])
    write_tar(tmp_path / "test-0.tar", samples)
    with pytest.raises(DataError, match="in its test part that its training part lacks: 1"):
        dataset(f"shards:{tmp_path}/*.tar").test()


def test_numbers_are_names_for_a_model_whose_classes_are_numbers(tmp_path: Path) -> None:
    """A model of 0, 2 and 3 would take 1 for its second class, which is 2."""
    write_tar(tmp_path / "s.tar", make_samples(tmp_path / "folder", ("0", "1", "2"), each=2))
    with pytest.raises(DataError, match="does not know: 1"):
        dataset(f"shards:{tmp_path}/s.tar", class_names=("0", "2", "3")).whole()


def test_an_archive_that_is_cut_off_between_two_members_is_refused(tmp_path: Path) -> None:
    """To tarfile it is whole."""
    path = write_tar(tmp_path / "s.tar", make_samples(tmp_path / "photos"))
    with tarfile.open(path) as archive:
        ends = [member.offset for member in archive]
    path.write_bytes(path.read_bytes()[: ends[8]])

    with pytest.raises(DataError, match=r"s\.tar is damaged or cut off"):
        dataset(f"shards:{path}").training()


@pytest.mark.parametrize("header", [4, 9])
def test_a_damaged_header_is_no_end(header: int, tmp_path: Path) -> None:
    """To tarfile it is one, unless it is the first."""
    path = write_tar(tmp_path / "s.tar", make_samples(tmp_path / "photos"))
    with tarfile.open(path) as archive:
        offset = archive.getmembers()[header].offset
    content = bytearray(path.read_bytes())
    content[offset : offset + 200] = b"\xff" * 200
    path.write_bytes(content)

    with pytest.raises(DataError, match="damaged"):
        dataset(f"shards:{path}").training()


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    """By its archive and its name there."""
    samples = make_samples(tmp_path / "photos")
    name, file, _ = samples[3]
    samples[3] = (name, file, b"no picture")
    path = write_tar(tmp_path / "s.tar", samples)

    with pytest.raises(ImageError, match=rf"s\.tar#{file}"):
        dataset(f"shards:{path}").whole().in_memory()


def test_a_picture_without_a_label_is_named(tmp_path: Path) -> None:
    """Nothing is learnt of guesses."""
    path = write_tar(tmp_path / "s.tar", make_samples(tmp_path / "photos"), label="txt")

    with pytest.raises(DataError, match="has no label"):
        dataset(f"shards:{path}").whole()


def test_an_archive_that_changes_is_read_anew(tmp_path: Path) -> None:
    """What was found before is kept for the same files alone."""
    samples = make_samples(tmp_path / "photos")
    path = write_tar(tmp_path / "s.tar", samples)
    before = len(dataset(f"shards:{path}").whole())
    write_tar(path, samples[:-2])

    assert len(dataset(f"shards:{path}").whole()) == before - 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("s3://bucket/train-{000..009}.tar", "is an address"),
        ("{place}/photos", "neither a tar archive nor a Parquet file"),
        ("{place}/nothing-*.tar", "Nothing matches"),
        ("{place}/nothing.tar", "There is no"),
    ],
)
def test_what_cannot_be_read_is_told(given: str, said: str, tmp_path: Path) -> None:
    """One message, before anything is read."""
    make_samples(tmp_path / "photos")

    with pytest.raises((DataError, UsageError), match=said):
        dataset(f"shards:{given.replace('{place}', str(tmp_path))}").whole()


def test_a_table_without_a_column_of_labels_lists_its_columns(tmp_path: Path) -> None:
    """And takes the one that is named."""
    path = write_parquet(tmp_path / "s.parquet", make_samples(tmp_path / "photos"))
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pq.read_table(path).rename_columns(["image", "what", "file"]), path)

    with pytest.raises(DataError, match="no column that is called as labels are"):
        dataset(f"shards:{path}").whole()
    assert dataset(f"shards:{path}?label=what").whole().class_names == ("Zébra", "cat", "dog")


@pytest.mark.parametrize("way", WAYS)
def test_an_audit_finds_in_shards_what_it_finds_in_the_folder(way: str, tmp_path: Path) -> None:
    """A damaged picture, and one that is there twice."""
    samples = make_samples(tmp_path / "photos")
    samples[1] = (*samples[1][:2], samples[0][2])
    samples[2] = (*samples[2][:2], b"no picture")
    for label, file, changed in samples:
        (tmp_path / "photos" / label / file).write_bytes(changed)
    shards = DatasetRef.parse(f"shards:{WAYS[way](tmp_path, samples)}")
    one, other = (audit_source(open_source(ref)) for ref in (DatasetRef("folder", tmp_path / "photos"), shards))

    assert len(other.facts.problems) == 1
    assert other.facts.problems.keys() == one.facts.problems.keys()
    assert np.array_equal(one.facts.digests, other.facts.digests)
    assert [group.members for group in one.groups] == [group.members for group in other.groups]
    assert audit_page(other).count("<img") == audit_page(one).count("<img")
