"""Adopting a file on a folder of photographs: decoded once, told of as it goes on, by the rule that the spec names."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.support_foreign import onnx_model, request_for, spec_of
from torchstone_export import run_data
from torchstone_export.foreign.adopt import OnnxSource, adopt_onnx
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.progress import WorkProgress, watched

_EACH = 12
_CLASSES = 4


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of twelve JPEG files of 64 x 48."""
    root, generator = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name in "abcd"[:_CLASSES]:
        (root / name).mkdir()
        for index in range(_EACH):
            pixels = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((64, 48)).save(root / name / f"{index}.jpg", quality=95)
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ONNX file of images of 8 x 8."""
    path = tmp_path_factory.mktemp("model") / "made.onnx"
    path.write_bytes(onnx_model().SerializeToString())
    return path


def adopt(model: Path, photos: Path, folder: Path, **fields: Any) -> Path:  # noqa: ANN401 - any field of a spec
    """Adopt the file on the photographs; return the bundle."""
    request = replace(request_for(folder, photos, check_spec=False), dataset=DatasetRef("folder", photos))
    adopt_onnx(OnnxSource(model, spec_of(fit="crop", **fields)), request)
    return folder / "bundle"


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the name of each file that a split decodes."""
    names: list[str] = []
    plain = FileStore._decode

    def decode(store: FileStore, index: int) -> Any:  # noqa: ANN401 - as the original
        names.append(store.names[index])
        return plain(store, index)

    monkeypatch.setattr(FileStore, "_decode", decode)
    return names


def test_each_picture_is_decoded_once(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many passes there are."""
    names = decoded(monkeypatch)
    adopt(model, photos, tmp_path)
    assert len(names) == len(set(names))
    assert len(names) > _EACH


def test_pictures_that_do_not_fit_are_decoded_as_they_are_needed(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is proven is the same; the smaller split is still held where it alone fits."""
    held = adopt(model, photos, tmp_path / "held")
    names = decoded(monkeypatch)
    test = 2 * _CLASSES  # a fifth of twelve, of each class
    monkeypatch.setattr(run_data, "_MOST_HELD", test * math.prod((3, 8, 8)))
    bundle = adopt(model, photos, tmp_path / "streamed")

    assert len(names) > len(set(names))
    for file in ("certificate.json", "golden.npz", "manifest.json"):
        assert (bundle / file).read_bytes() == (held / file).read_bytes()


def test_those_who_watch_are_told_of_every_pass(model: Path, photos: Path, tmp_path: Path) -> None:
    """Each of them begins, counts all images of its split and ends."""
    told: list[WorkProgress] = []
    with watched(told.append):
        adopt(model, photos, tmp_path)
    ended = {news.task: news for news in told if news.ended}

    for split in ("validation", "test"):
        for task in ("the file as given", "the file as given, one by one", "certifying fp32"):
            assert ended[f"{task}, {split}"].done == ended[f"{task}, {split}"].total > 0
    assert {"fp32 in other batches", "reading  test", "wrapping the file"} <= set(ended)
    assert ended["fp32 in other batches"].done == ended["fp32 in other batches"].total
    assert [news.ended for news in told].count(True) == len(ended)


def test_reduced_decoding_is_a_rule_of_the_bundle(model: Path, photos: Path, tmp_path: Path) -> None:
    """Golden samples, and so the certificate, and predictions are of the same pixels; earlier readers are kept away."""
    bundle = adopt(model, photos, tmp_path, decode="reduced")
    manifest = json.loads((bundle / "manifest.json").read_text())
    golden = {image.tobytes() for image in GoldenSamples.from_bytes((bundle / "golden.npz").read_bytes()).images}
    spec = spec_of(fit="crop", decode="reduced").input_spec()
    files = sorted(photos.glob("*/*.jpg"))
    reduced = np.stack([decode_image(file, spec) for file in files])

    assert (manifest["format_version"], manifest["input"]["decode"]) == (4, "reduced")
    assert golden <= {image.tobytes() for image in reduced}
    assert "JPEG files decoded at a reduced size" in (bundle / "README.md").read_text()
    with Classifier.load(bundle) as classifier:
        np.testing.assert_array_equal(classifier.predict(files).logits, classifier.predict(reduced).logits)
        found = [prediction.label for prediction in classifier.predict_folder(photos)]
        assert found == classifier.predict(reduced).labels
