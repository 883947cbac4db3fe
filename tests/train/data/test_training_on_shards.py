"""A training on archives or tables of pictures is the training on the same pictures in a folder."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.in_process import run_in_process
from helpers.support import write_image_tree
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.data.shard_store import ShardStore
from torchstone_train.data.batches import StreamedBatches
from torchstone_train.data.pictures import FilePictures
from torchstone_train.data.training_data import load_training_data
from torchstone_train.recipes.catalog import CNN3

CLASSES = {"cat": 12, "dog": 14, "emu": 9}


def _write_shards(photos: Path, out: Path, label: str) -> None:
    """Write the files of a folder into two archives, not in their order; labels in `.cls` or `.json`."""
    files = sorted(photos.rglob("*.png"), key=lambda file: file.read_bytes())
    for number in (0, 1):
        with tarfile.open(out / f"{label}-{number}.tar", "w") as archive:
            for file in files[number::2]:
                key = f"{file.parent.name}/{file.stem}"
                facts = file.parent.name if label == "cls" else json.dumps({"species": file.parent.name})
                for member, content in ((f"{key}.png", file.read_bytes()), (f"{key}.{label}", facts.encode())):
                    info = tarfile.TarInfo(member)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))


def _trained(out: Path, data: str, *options: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return history and record of a training, without what differs between any two runs."""
    command = ("train", "cnn3", "--data", data, "--epochs", "2", "--device", "cpu", "--image-size", "16", *options)
    result = run_in_process(*command, "--out", out)
    assert result.returncode == 0, result.stderr
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    kept = [{key: epoch[key] for key in ("epoch", "train", "validation")} for epoch in history]
    info = json.loads((out / "run.json").read_text())
    return kept, info["dataset"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, and the same in archives beside it."""
    place = tmp_path_factory.mktemp("data")
    photos = write_image_tree(place / "photos", CLASSES, mode="RGB", side=20)
    for label in ("cls", "json"):
        _write_shards(photos, place, label)
    return photos


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [(), ("--augment", "random-resized-crop,flip", "--cache", "disk")], ids=["held", "cached"]
)
def test_every_figure_is_that_of_the_folder(options: tuple[str, ...], photos: Path, tmp_path: Path) -> None:
    """Each metric of each epoch to the last digit, and the fingerprints of the three splits."""
    cache = ("--cache-dir", str(tmp_path / "cache")) if "--cache" in options else ()
    one, recorded = _trained(tmp_path / "folder", f"folder:{photos}", *options, *cache)
    other, named = _trained(tmp_path / "shards", f"shards:{photos.parent}/cls-*.tar", *options, *cache)

    assert one == other
    assert named["kind"] == "shards"
    assert named["source"] == f"shards:{photos.parent}/cls-*.tar"
    for split in ("train", "validation", "test"):
        assert recorded[split] == named[split]


def test_pictures_that_are_streamed_are_the_same(photos: Path, tmp_path: Path) -> None:
    """Read from their archives in every epoch, by labels in `.json`, whole or cropped; in any order."""
    refs = (DatasetRef("folder", photos), DatasetRef("shards", photos.parent / "json-*.tar?label=species"))
    one, other = (load_training_data(ref, tmp_path, CNN3, 0, image_size=(16, 16)) for ref in refs)
    order = torch.randperm(len(one.train))
    walked = [StreamedBatches(data.train, torch.device("cpu")).walk(order, 5) for data in (one, other)]

    for (images, labels), (others, named) in zip(*walked, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, named)
    for side in (None, 18):
        stores = [data.train.store for data in (one, other)]
        first, second = (FilePictures(store, side) for store in stores if isinstance(store, FileStore | ShardStore))
        assert [first.picture(i).tobytes() for i in range(9)] == [second.picture(i).tobytes() for i in range(9)]


@pytest.mark.slow
def test_a_run_goes_on_and_is_repeated(photos: Path, tmp_path: Path) -> None:
    """Where the archives lie, and which key holds the label, stands in the record."""
    data, out = f"shards:{photos.parent}/json-{{0..1}}.tar?label=species", tmp_path / "run"
    _trained(out, data)
    more = ("train", "cnn3", "--data", data, "--epochs", "3", "--device", "cpu", "--out", out, "--resume")
    went_on = run_in_process(*more)
    again = run_in_process("train", "--from", out, "--device", "cpu", "--epochs", "1", "--out", tmp_path / "again")

    assert went_on.returncode == 0, went_on.stderr
    assert again.returncode == 0, again.stderr
    assert len((out / "history.jsonl").read_text().splitlines()) == 3
