"""Every call of the unmodified `tritonclient.http` that a classifier can answer, sync and asyncio."""

import asyncio
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from helpers.served import server_process
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.images.encode import encode_png

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own, of the packages that it needs
    from tritonclient import http
    from tritonclient.http import aio as http_aio
    from tritonclient.utils import InferenceServerException


@pytest.fixture(scope="module")
def golden(digits_bundle: Path) -> GoldenSamples:
    """The golden samples of the bundle that is served."""
    return GoldenSamples.from_bytes(Bundle.open(digits_bundle).read_file("golden"))


@pytest.fixture(scope="module")
def address(digits_bundle: Path) -> Iterator[str]:
    """A server of the model `digits`."""
    with server_process(f"digits={digits_bundle}", "--allow-reload") as server:
        yield server.address


MODEL = "digits"
Client: TypeAlias = Any
"""A client, or what it gives back: neither has types."""


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    """The client that waits for its answers."""
    with http.InferenceServerClient(address) as made:
        yield made


def pixels(images: Uint8Array, *, binary: bool = True) -> list[Any]:
    """Return images as the input of pixels."""
    given = http.InferInput("images", list(images.shape), "UINT8")
    given.set_data_from_numpy(images, binary_data=binary)
    return [given]


def files(images: Uint8Array) -> list[Any]:
    """Return images as the input of picture files."""
    encoded = np.array([encode_png(image) for image in images], dtype=np.object_)
    given = http.InferInput("encoded", [len(images)], "BYTES")
    given.set_data_from_numpy(encoded)
    return [given]


def assert_golden(found: Client, golden: GoldenSamples, count: int) -> None:
    """Check the outputs of the first golden samples."""
    np.testing.assert_allclose(found.as_numpy("logits"), golden.logits[:count], atol=1e-4)
    np.testing.assert_allclose(found.as_numpy("probabilities"), golden.probabilities[:count], atol=1e-4)


def test_it_lives_and_is_ready(client: Client) -> None:
    """Server, model and version."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert client.is_model_ready(MODEL, "1")
    assert not client.is_model_ready(MODEL, "2")
    assert not client.is_model_ready("other")


def test_the_metadata_of_the_server_names_its_extensions(client: Client) -> None:
    """Those of Triton's that it has."""
    found = client.get_server_metadata()
    assert found["name"] == "torchstone"
    assert {"binary_tensor_data", "classification", "statistics", "model_repository"} <= set(found["extensions"])


def test_the_metadata_of_a_model_has_its_inputs_and_outputs(client: Client) -> None:
    """Pixels first, then files."""
    found = client.get_model_metadata(MODEL)
    assert found["versions"] == ["1"]
    assert found["inputs"][0] == {"name": "images", "datatype": "UINT8", "shape": [-1, 1, 28, 28]}
    assert found["inputs"][1] == {"name": "encoded", "datatype": "BYTES", "shape": [-1]}
    assert [output["shape"] for output in found["outputs"]] == [[-1, 10], [-1, 10]]
    assert client.get_model_metadata(MODEL, "1") == found


def test_the_configuration_is_one_of_tritons(client: Client) -> None:
    """By its names."""
    found = client.get_model_config(MODEL, "1")
    assert found["name"] == MODEL
    assert found["max_batch_size"] == 64
    assert found["input"][0]["dims"] == [1, 28, 28]


def test_the_index_lists_the_model(client: Client) -> None:
    """With its state."""
    assert client.get_model_repository_index() == [{"name": MODEL, "version": "1", "state": "READY", "reason": ""}]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("out", [None, True, False])
def test_pixels_are_classified(client: Client, golden: GoldenSamples, binary: bool, out: bool | None) -> None:
    """Binary or JSON, in and out."""
    names = ("logits", "probabilities")
    outputs = None if out is None else [http.InferRequestedOutput(name, binary_data=out) for name in names]
    found = client.infer(MODEL, pixels(golden.images[:3], binary=binary), outputs=outputs)
    assert_golden(found, golden, 3)


def test_picture_files_are_classified(client: Client, golden: GoldenSamples) -> None:
    """As byte strings."""
    assert_golden(client.infer(MODEL, files(golden.images[:4])), golden, 4)


def test_an_output_alone_is_sent_alone(client: Client, golden: GoldenSamples) -> None:
    """Only what was asked for."""
    found = client.infer(MODEL, pixels(golden.images[:1]), outputs=[http.InferRequestedOutput("probabilities")])
    assert [output["name"] for output in found.get_response()["outputs"]] == ["probabilities"]


def test_classes_come_in_place_of_a_tensor(client: Client, golden: GoldenSamples) -> None:
    """Value, index and name, best first."""
    wanted = http.InferRequestedOutput("probabilities", class_count=3)
    found = client.infer(MODEL, pixels(golden.images[:2]), outputs=[wanted]).as_numpy("probabilities")
    assert found.shape == (2, 3)
    for row, expected in zip(found, golden.probabilities, strict=False):
        values, indices, names = zip(*(item.decode().split(":") for item in row), strict=True)
        assert [int(index) for index in indices] == np.argsort(-expected)[:3].tolist()
        assert names == indices  # the digits are called by their numbers
        np.testing.assert_allclose([float(value) for value in values], np.sort(expected)[::-1][:3], atol=1e-4)


def test_id_and_version_come_back(client: Client, golden: GoldenSamples) -> None:
    """In the answer."""
    found = client.infer(MODEL, pixels(golden.images[:1]), request_id="seventeen", model_version="1").get_response()
    assert (found["id"], found["model_name"], found["model_version"]) == ("seventeen", MODEL, "1")


@pytest.mark.parametrize("way", ["gzip", "deflate"])
def test_both_sides_may_compress(client: Client, golden: GoldenSamples, way: str) -> None:
    """Each in both ways."""
    images = np.tile(golden.images[:1], (40, 1, 1, 1))
    found = client.infer(MODEL, pixels(images), request_compression_algorithm=way, response_compression_algorithm=way)
    assert found.as_numpy("logits").shape == (40, 10)
    assert_golden(client.infer(MODEL, files(golden.images[:2]), request_compression_algorithm=way), golden, 2)


def test_parameters_are_taken(client: Client, golden: GoldenSamples) -> None:
    """Those of the protocol, and others."""
    found = client.infer(MODEL, pixels(golden.images[:1]), priority=1, timeout=5_000_000, parameters={"note": "mine"})
    assert_golden(found, golden, 1)


def test_an_answer_can_be_fetched_later(client: Client, golden: GoldenSamples) -> None:
    """`async_infer` of the client."""
    waiting = [client.async_infer(MODEL, pixels(golden.images[:count])) for count in (1, 2, 3)]
    for count, one in zip((1, 2, 3), waiting, strict=True):
        assert_golden(one.get_result(), golden, count)


def test_the_statistics_count_images_and_requests(client: Client, golden: GoldenSamples) -> None:
    """And the time they took."""
    before = client.get_inference_statistics(MODEL)["model_stats"][0]
    client.infer(MODEL, pixels(golden.images[:5]))
    after = client.get_inference_statistics(MODEL, "1")["model_stats"][0]
    assert after["inference_count"] - before["inference_count"] == 5
    assert after["execution_count"] - before["execution_count"] == 1
    success = [found["inference_stats"]["success"] for found in (before, after)]
    assert success[1]["count"] - success[0]["count"] == 1
    assert success[1]["ns"] > success[0]["ns"]
    assert [found["name"] for found in client.get_inference_statistics()["model_stats"]] == [MODEL]


def test_a_model_is_unloaded_and_loaded(client: Client, golden: GoldenSamples) -> None:
    """Where the server allows it."""
    client.unload_model(MODEL)
    try:
        assert not client.is_model_ready(MODEL)
        with pytest.raises(InferenceServerException, match="not ready"):
            client.infer(MODEL, pixels(golden.images[:1]))
    finally:
        client.load_model(MODEL)
    assert_golden(client.infer(MODEL, pixels(golden.images[:1])), golden, 1)


def test_what_is_wrong_is_told(client: Client, golden: GoldenSamples) -> None:
    """With the status and the sentence of the server."""
    wrong_type = http.InferInput("images", [1, 1, 28, 28], "FP32")
    wrong_type.set_data_from_numpy(np.zeros((1, 1, 28, 28), np.float32))
    for model, inputs, status, text in (
        ("other", pixels(golden.images[:1]), "404", "no such model"),
        (MODEL, [wrong_type], "400", "datatype UINT8"),
        (MODEL, pixels(golden.images[:1, :, :27]), "400", r"\[N, 1, 28, 28\]"),
    ):
        with pytest.raises(InferenceServerException, match=text) as caught:
            client.infer(model, inputs)
        assert caught.value.status() == status


def test_the_client_of_asyncio_is_served_too(address: str, golden: GoldenSamples) -> None:
    """In the same calls."""

    async def ask() -> None:
        async with http_aio.InferenceServerClient(address) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready(MODEL, "1")
            assert (await client.get_server_metadata())["name"] == "torchstone"
            assert (await client.get_model_metadata(MODEL))["name"] == MODEL
            assert (await client.get_model_config(MODEL))["name"] == MODEL
            assert (await client.get_model_repository_index())[0]["state"] == "READY"
            assert (await client.get_inference_statistics())["model_stats"][0]["name"] == MODEL
            await client.load_model(MODEL)
            for given in (pixels(golden.images[:2]), pixels(golden.images[:2], binary=False), files(golden.images[:2])):
                assert_golden(await client.infer(MODEL, given), golden, 2)
            wanted = [http.InferRequestedOutput(name, binary_data=False) for name in ("logits", "probabilities")]
            assert_golden(await client.infer(MODEL, pixels(golden.images[:2]), outputs=wanted), golden, 2)
            for way in ("gzip", "deflate"):
                both = {"request_compression_algorithm": way, "response_compression_algorithm": way}
                images = np.tile(golden.images[:1], (40, 1, 1, 1))
                assert (await client.infer(MODEL, pixels(images), **both)).as_numpy("logits").shape == (40, 10)
            with pytest.raises(InferenceServerException):
                await client.infer("other", pixels(golden.images[:1]))

    asyncio.run(asyncio.wait_for(ask(), 60))
