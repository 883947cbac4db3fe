"""The answer to an inference request: JSON, and behind it the tensors that were asked for in binary."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchstone_runtime.arrays import BoolArray, Float32Array
from torchstone_runtime.protocol.infer_request import InferRequest, WantedOutput
from torchstone_runtime.protocol.tensors import OutputTensor


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """The body of an answer.

    Attributes:
        body: its bytes.
        json_length: number of them that are JSON, for `Inference-Header-Content-Length`; None where all are.
    """

    body: bytes
    json_length: int | None


def write_infer_answer(
    request: InferRequest,
    model: tuple[str, str],
    values: Mapping[str, Float32Array],
    class_names: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
    added: Mapping[str, BoolArray] | None = None,
) -> WrittenAnswer:
    """Write the answer to a request.

    Args:
        request: the request.
        model: name and version of the model.
        values: float32 [N, K] by the output's name.
        class_names: the K classes.
        parameters: further statements of the answer; none if empty.
        added: bool [N, K] by name: outputs beside those that were asked for by name.
    """
    document: dict[str, Any] = {"model_name": model[0], "model_version": model[1]}
    if request.request_id is not None:
        document["id"] = request.request_id
    if parameters:
        document["parameters"] = dict(parameters)
    entries, binary = [], []
    tensors = [(_tensor(wanted, values[wanted.name], class_names), wanted.binary) for wanted in request.outputs]
    tensors += [(OutputTensor(name, content, content.shape), request.binary) for name, content in (added or {}).items()]
    for tensor, as_binary in tensors:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if as_binary:
            content = tensor.to_bytes()
            entry["parameters"] = {"binary_data_size": len(content)}
            binary.append(content)
        else:
            entry["data"] = tensor.to_list()
        entries.append(entry)
    text = json.dumps(document | {"outputs": entries}, separators=(",", ":"), allow_nan=False).encode()
    return WrittenAnswer(b"".join((text, *binary)), len(text) if binary else None)


def _tensor(wanted: WantedOutput, values: Float32Array, class_names: Sequence[str]) -> OutputTensor:
    if not wanted.classes:
        return OutputTensor(wanted.name, values, values.shape)
    best = np.argsort(-values, axis=1, kind="stable")[:, : wanted.classes]
    texts = [
        f"{row[index]:f}:{index}:{class_names[index]}"
        for row, chosen in zip(values, best, strict=True)
        for index in chosen
    ]
    return OutputTensor(wanted.name, texts, best.shape)
