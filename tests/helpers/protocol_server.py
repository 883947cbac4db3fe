"""A small server of the Open Inference Protocol (REST) over a real session: no part of Torchstone speaks in it."""

import io
import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import onnxruntime as ort
from PIL import Image

from helpers.loopback import loopback_server

_DTYPES = {"UINT8": "u1", "FP32": "<f4", "FP16": "<f2", "FP64": "<f8"}


@dataclass
class Stand:
    """How the server is set up; what it was asked is in `seen`.

    `datatype` and `channels_last` are of the input, `file_axes` the number of its axes for `BYTES`, `outputs` the names
    told and answered; `change` alters the logits of a request; `class_names` are for `/predict`, as `torchstone serve`
    has it; `path_status` answers a path with a status and text; `delay` is waited for before each inference.
    """

    model: bytes
    classes: int
    shape: tuple[int, int, int]
    name: str = "clothes"
    models: tuple[str, ...] | None = None
    binary: bool = True
    datatype: str = "UINT8"
    channels_last: bool = False
    file_axes: int = 1
    mean: float = 0.5
    std: float = 0.5
    outputs: dict[str, str] = field(default_factory=lambda: {"logits": "logits", "probabilities": "probabilities"})
    max_batch: int = 64
    change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]] | None = None
    path_status: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    delay: float = 0.0
    class_names: tuple[str, ...] = ()
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def metadata(self) -> dict[str, Any]:
        """Describe the model as the protocol does."""
        channels, height, width = self.shape
        size = [height, width, channels] if self.channels_last else [channels, height, width]
        shape = [-1, 1][: self.file_axes] if self.datatype == "BYTES" else [-1, *size]
        told = [{"name": name, "datatype": "FP32", "shape": [-1, self.classes]} for name in self.outputs]
        inputs = [{"name": "pixels", "datatype": self.datatype, "shape": shape}]
        return {"name": self.name, "platform": "stand", "inputs": inputs, "outputs": told}

    def pixels(self, given: dict[str, Any], raw: bytes) -> np.ndarray[Any, Any]:
        """Return uint8 [n, C, H, W] of an input of a request."""
        if self.datatype == "BYTES":
            pictures = []
            while raw:
                (length,) = struct.unpack("<I", raw[:4])
                pictures.append(np.asarray(Image.open(io.BytesIO(raw[4 : 4 + length]))))
                raw = raw[4 + length :]
            return np.stack(pictures).reshape(-1, *self.shape)
        dtype = np.dtype(_DTYPES[self.datatype])
        values = np.frombuffer(raw, dtype) if raw else np.array(given["data"], dtype)
        values = values.reshape(given["shape"])
        if self.channels_last:
            values = values.transpose(0, 3, 1, 2)
        if self.datatype != "UINT8":
            values = np.rint((values.astype(np.float64) * self.std + self.mean) * 255)
        return np.ascontiguousarray(values, dtype=np.uint8)


@contextmanager
def protocol_server(stand: Stand) -> Iterator[str]:  # noqa: C901 - a handler with its methods
    """Serve until the block ends; yield the address."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(stand.model, options, providers=["CPUExecutionProvider"])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            extensions = ["binary_tensor_data"] if stand.binary else []
            model = f"/v2/models/{stand.name}"
            found: dict[str, Any] = {
                "/v2": {"name": "stand", "version": "1", "extensions": extensions},
                "/v2/health/ready": {"ready": True},
                f"{model}/ready": {"name": stand.name, "ready": True},
                "/v2/health/live": {"live": True},
                model: stand.metadata(),
            }
            self._answer(found)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            stand.seen.append((self.path, dict(self.headers)))
            if self.path.partition("?")[0] == "/predict":
                self._predict(body)
            elif self.path == "/v2/repository/index" and stand.models is not None:
                self._answer({self.path: [{"name": name} for name in stand.models]})
            elif self.path == f"/v2/models/{stand.name}/infer" and self.path not in stand.path_status:
                self._infer(body)
            else:
                self._answer({})

        def _predict(self, body: bytes) -> None:
            pixels = np.asarray(Image.open(io.BytesIO(body))).reshape(1, *stand.shape)
            (row,) = session.run(["probabilities"], {"images": pixels})[0]
            best = {"label": stand.class_names[int(row.argmax())], "probability": float(row.max())}
            self._send(200, json.dumps(best, ensure_ascii=False).encode())

        def _infer(self, body: bytes) -> None:
            time.sleep(stand.delay)
            length = int(self.headers.get("Inference-Header-Content-Length", len(body)))
            request = json.loads(body[:length])
            if stand.datatype == "BYTES" and len(request["inputs"][0]["shape"]) != stand.file_axes:
                self._send(400, b'{"error": "unexpected shape"}')
                return
            images = stand.pixels(request["inputs"][0], body[length:])
            if len(images) > stand.max_batch:
                self._send(400, json.dumps({"error": f"at most {stand.max_batch}"}).encode())
                return
            logits, probabilities = session.run(["logits", "probabilities"], {"images": images})
            if stand.change is not None:
                logits = stand.change(logits)
                probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            values = {"logits": logits, "probabilities": probabilities}
            outputs, tail = [], b""
            for name, source in stand.outputs.items():
                tensor = values[source].astype("<f4")
                told: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(tensor.shape)}
                if stand.binary:
                    told["parameters"] = {"binary_data_size": tensor.nbytes}
                    tail += tensor.tobytes()
                else:
                    told["data"] = tensor.tolist()
                outputs.append(told)
            text = json.dumps({"model_name": stand.name, "outputs": outputs}).encode()
            self._send(200, text + tail, {"Inference-Header-Content-Length": str(len(text))} if stand.binary else {})

        def _answer(self, found: dict[str, Any]) -> None:
            if self.path in stand.path_status:
                self._send(*stand.path_status[self.path])
            elif self.path in found:
                self._send(200, json.dumps(found[self.path]).encode())
            else:
                self._send(404, json.dumps({"error": "there is no such thing"}).encode())

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with loopback_server(Handler) as address:
        yield address
