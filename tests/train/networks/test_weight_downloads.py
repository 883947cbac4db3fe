"""Published weights: fetched from a server, checked, kept, and asked for by hand where there is no network."""

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
import torchvision

from helpers.file_server import serving
from torchstone_runtime.errors import DataError
from torchstone_train.networks.backbones import download, torchvision_networks
from torchstone_train.networks.backbones.opening import open_backbone
from torchstone_train.networks.shape import ModelShape

SHAPE = ModelShape(3, 32, 32, 5)
NAME = "torchvision:mobilenet_v3_small"
UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def published() -> tuple[torch.nn.Module, bytes]:
    """A network of 1,000 classes, and its weights as torchvision publishes them."""
    network, file = torchvision.models.mobilenet_v3_small(), io.BytesIO()
    torch.save(network.state_dict(), file)
    return network, file.getvalue()


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep files where the test can see them."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def redirect(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Let torchvision's weights lie elsewhere."""

    class Published(SimpleNamespace):
        def __str__(self) -> str:
            return "MobileNet_V3_Small_Weights.IMAGENET1K_V1"

    monkeypatch.setattr(torchvision_networks, "find_weights", lambda *_: Published(url=url, meta={}))


def test_torchvisions_weights_are_fetched_checked_and_kept(
    published: tuple[torch.nn.Module, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time without the server; the head is fresh."""
    network, content = published
    digest = hashlib.sha256(content).hexdigest()
    name = f"small-{digest[:8]}.pth"
    with serving({f"/{name}": content}) as server:
        redirect(monkeypatch, f"{server}/{name}")
        open_backbone(NAME, SHAPE)
    opened = open_backbone(NAME, SHAPE)
    kernel = "features.0.0.weight"
    assert torch.equal(opened.network.state_dict()[kernel], network.state_dict()[kernel])
    assert opened.network(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    assert opened.origin == {"name": "MobileNet_V3_Small_Weights.IMAGENET1K_V1", "sha256": digest}
    assert (tmp_path / "torch" / "hub" / "checkpoints" / name).is_file()


def test_download_of_another_checksum_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name holds the first digits of its SHA-256."""
    with serving({"/small-0123abcd.pth": b"something else"}) as server:
        redirect(monkeypatch, f"{server}/small-0123abcd.pth")
        with pytest.raises(DataError, match="could not be downloaded: invalid hash value"):
            open_backbone(NAME, SHAPE)
    assert not list((tmp_path / "torch").rglob("*.pth"))


def test_kept_file_that_was_damaged_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is checked every time."""
    redirect(monkeypatch, f"{UNREACHABLE}/small-0123abcd.pth")
    file = tmp_path / "torch" / "hub" / "checkpoints" / "small-0123abcd.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half a file")
    with pytest.raises(DataError, match=r"is damaged: its SHA-256 does not begin with 0123abcd.\nDelete it"):
        open_backbone(NAME, SHAPE)


def test_no_network_is_one_message_with_what_to_fetch_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address and place."""
    redirect(monkeypatch, f"{UNREACHABLE}/small-0123abcd.pth")
    with pytest.raises(DataError) as refused:
        open_backbone(NAME, SHAPE)
    assert f"Fetch {UNREACHABLE}/small-0123abcd.pth where there is a network" in refused.value.remedy
    assert str(tmp_path / "torch" / "hub" / "checkpoints" / "small-0123abcd.pth") in refused.value.remedy


def test_timms_weights_come_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """As safetensors; kept under their SHA-256."""
    network = timm.create_model("mobilenetv3_small_050")
    content = safetensors.torch.save(network.state_dict())
    path = "/timm/mobilenetv3_small_050.lamb_in1k/resolve/main/model.safetensors"
    with serving({path: content}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server)
        opened = open_backbone("timm:mobilenetv3_small_050", SHAPE)
    kernel = "conv_stem.weight"
    assert torch.equal(opened.network.state_dict()[kernel], network.state_dict()[kernel])
    assert opened.origin == {
        "name": "timm:mobilenetv3_small_050.lamb_in1k",
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_timms_weights_without_a_network_are_named_with_their_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's own lines about every further try are not shown."""
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *_, **__: (_ for _ in ()).throw(OSError("Name not known"))
    )
    with pytest.raises(DataError, match=r"timm:resnet18.a1_in1k could not be downloaded: Name not known") as refused:
        open_backbone("timm:resnet18", SHAPE)
    assert "/timm/resnet18.a1_in1k/resolve/main/model.safetensors" in refused.value.remedy


def test_hub_file_that_was_damaged_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place in the cache says what it must be."""
    blob = tmp_path / ("0" * 64)
    blob.write_bytes(b"half a file")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(blob))
    with pytest.raises(DataError, match="is damaged: the SHA-256 of the file is not 0000"):
        download.fetch_from_hub("timm/x", None, "timm:x")
