"""The requests that are sent: HTTP as bytes."""

import json

from torchstone_runtime.arrays import Uint8Array


def post(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """Return a POST request."""
    lines = {"Host": "localhost", "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def infer_binary(model: str, images: Uint8Array) -> bytes:
    """Return an inference request with the images as a binary tensor, and a binary answer asked for."""
    tensor = images.tobytes()
    named = _input(images) | {"parameters": {"binary_data_size": len(tensor)}}
    text = json.dumps({"inputs": [named], "parameters": {"binary_data_output": True}}).encode()
    return post(f"/v2/models/{model}/infer", text + tensor, {"Inference-Header-Content-Length": str(len(text))})


def infer_json(model: str, images: Uint8Array) -> bytes:
    """Return an inference request with the images as numbers in JSON."""
    text = json.dumps({"inputs": [_input(images) | {"data": images.ravel().tolist()}]})
    return post(f"/v2/models/{model}/infer", text.encode(), {"Content-Type": "application/json"})


def plain_json(path: str, images: Uint8Array) -> bytes:
    """Return a request of servers without a protocol: the images as nested lists under `images`."""
    return post(path, json.dumps({"images": images.tolist()}).encode(), {"Content-Type": "application/json"})


def picture(content: bytes) -> bytes:
    """Return a picture for `/predict`."""
    return post("/predict", content)


def _input(images: Uint8Array) -> dict[str, object]:
    return {"name": "images", "shape": list(images.shape), "datatype": "UINT8"}
