import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.packed import pack_bundle, unpacked_bundle
from torchstone_runtime.errors import BundleError
from torchstone_runtime.inference.classifier import Classifier


def test_a_packed_bundle_answers_as_the_bundle_does() -> None:
    """Bit for bit, from another directory."""
    images = np.random.default_rng(0).integers(0, 256, (8, 1, 28, 28), dtype=np.uint8)
    with unpacked_bundle(pack_bundle(Bundle.open("fashion"))) as folder, Classifier.load(folder) as packed:
        found = packed.predict(images).logits
    with Classifier.load("fashion") as classifier:
        assert np.array_equal(found, classifier.predict(images).logits)


def test_only_the_variant_that_is_wanted_is_packed() -> None:
    """Manifest, golden samples and validation statistics go with it; the rest stays."""
    with unpacked_bundle(pack_bundle(Bundle.open("fashion"), "int8")) as folder:
        names = sorted(path.name for path in folder.iterdir())
    assert names == ["golden.npz", "manifest.json", "model.int8.onnx", "validation.npz"]


def test_the_same_bundle_gives_the_same_bytes() -> None:
    """So that their hash names them."""
    assert pack_bundle(Bundle.open("fashion")) == pack_bundle(Bundle.open("fashion"))


def test_a_file_that_was_altered_is_not_packed(bundle_copy: Path) -> None:
    """Its hash is checked as it is read."""
    model = bundle_copy / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    with pytest.raises(BundleError, match="not the file that was exported"):
        pack_bundle(Bundle.open(bundle_copy))


def test_an_altered_byte_of_the_archive_never_reaches_a_session() -> None:
    """The archive's checksums or the manifest's hashes find it."""
    content = bytearray(pack_bundle(Bundle.open("fashion"), "int8"))
    content[len(content) // 2] ^= 1
    with pytest.raises(BundleError), unpacked_bundle(bytes(content)) as folder, Classifier.load(folder):
        pass


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/b", ".hidden", "", "a\\..\\b"])
def test_a_name_that_leads_out_of_the_directory_is_refused(name: str) -> None:
    """Only plain names are unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name or "x"), b"evil")
        if not name:
            archive.infolist()[0].filename = ""
    with pytest.raises(BundleError, match="not a packed bundle"), unpacked_bundle(buffer.getvalue()):
        pass


def test_a_compressed_archive_is_refused_before_it_unpacks() -> None:
    """It could unpack to any size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(1 << 20))
    with pytest.raises(BundleError, match="compressed"), unpacked_bundle(buffer.getvalue()):
        pass


@given(st.binary(max_size=200))
def test_anything_else_is_refused_as_no_packed_bundle(content: bytes) -> None:
    """Random bytes are refused with our own error."""
    with pytest.raises(BundleError), unpacked_bundle(content):
        pass
