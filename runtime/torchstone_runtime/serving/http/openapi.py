"""The description of the server's paths for programs (OpenAPI 3.1): `GET /openapi.json`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from torchstone_runtime.protocol.body import HEADER_LENGTH
from torchstone_runtime.protocol.infer_request import ENCODED, IMAGES, OUTPUTS
from torchstone_runtime.serving.http.settings import HttpSettings
from torchstone_runtime.version import __version__

_JSON: Final = "application/json"
_BYTES: Final = "application/octet-stream"
_TEXT: Final[dict[str, Any]] = {"type": "string"}
_SHARE: Final[Mapping[str, Any]] = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
_ERROR: Final = {"$ref": "#/components/schemas/Error"}
_REASONS: Final = {
    "400": "The request is malformed, or not what the model takes.",
    "403": "Loading and unloading over HTTP is off, or asked for by a page of another site.",
    "404": "There is no such model or version.",
    "408": "The body did not arrive in time.",
    "409": "What is on the disk can't be loaded; the one that served before continues.",
    "413": "The body, or the number of images, is larger than allowed.",
    "415": "The type or encoding of the body is not supported.",
    "500": "A fault in the server or the model.",
    "503": "The queue is full, or the model is not ready. Try again after `Retry-After` seconds.",
    "504": "The deadline passed.",
}


def openapi_document(names: Sequence[str], settings: HttpSettings, added: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of all paths.

    Args:
        names: names of the models.
        settings: behaviour of the HTTP side.
        added: descriptions of paths of other rooms.
    """
    model = {"type": "string", "enum": list(names)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Torchstone",
            "version": __version__,
            "description": "Image classifiers behind the Open Inference Protocol, with Triton's extensions.",
        },
        "paths": {
            **_predict(model),
            **_health(),
            **_server(),
            **_models(model),
            **_repository(model, settings),
            **added,
        },
        "components": {"schemas": _schemas()},
    }


def _answers(content: Mapping[str, Any], *errors: str) -> dict[str, Any]:
    failed = {code: {"description": _REASONS[code], "content": {_JSON: {"schema": _ERROR}}} for code in errors}
    return {
        "200": {"description": "Done.", "content": dict(content)} if content else {"description": "Done."},
        **failed,
    }


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {_JSON: {"schema": schema}}


def _get(summary: str, schema: Mapping[str, Any], *errors: str, parameters: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": _answers(_json(schema), *errors)}}


def _in_path(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(name: str, text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def _predict(model: Mapping[str, Any]) -> dict[str, Any]:
    operation = {
        "summary": "Classify one picture: its file is the body.",
        "parameters": [
            _in_query("top", "Number of classes in the answer.", {"type": "integer", "minimum": 1, "maximum": 999_999}),
            _in_query("coverage", "Probability that the answer's set of classes holds the right one.", _SHARE),
            _in_query(
                "by_class", "Whether that is so for the images of each class alone.", {"enum": ["true", "false"]}
            ),
            _in_query("model", "Name of the model; the first one if left out.", model),
            _in_query("version", "Version of the model; the newest if left out.", _TEXT),
            _in_query("seen", "1: the answer's 'seen' is what the model saw.", {"type": "string", "enum": ["0", "1"]}),
            _in_query("drift", "1: 'drift' says how the latest images differ.", {"type": "string", "enum": ["0", "1"]}),
        ],
        "requestBody": {"required": True, "content": {"image/*": {}, _BYTES: {}}},
        "responses": _answers(
            _json({"$ref": "#/components/schemas/Prediction"}), "400", "404", "408", "413", "415", "500", "503", "504"
        ),
    }
    return {"/predict": {"post": operation}}


def _health() -> dict[str, Any]:
    live = {"type": "object", "properties": {"live": {"type": "boolean"}}, "required": ["live"]}
    ready = {"type": "object", "properties": {"ready": {"type": "boolean"}}, "required": ["ready"]}
    unready = {"description": "Not ready.", "content": _json(ready)}
    paths: dict[str, Any] = {}
    for start in ("/health", "/v2/health"):
        paths[f"{start}/live"] = _get("Does the server run?", live)
        paths[f"{start}/ready"] = _get("Is the server ready for requests?", ready)
        paths[f"{start}/ready"]["get"]["responses"]["503"] = unready
    return paths


def _server() -> dict[str, Any]:
    metrics = {"description": "Metrics.", "content": {"text/plain": {"schema": _TEXT}}}
    return {
        "/v2": _get("Name, version and extensions of the server.", {"type": "object"}),
        "/v2/models": _get("The models that serve.", {"type": "object"}),
        "/v2/models/stats": _get("What all models have done.", {"type": "object"}),
        "/metrics": {"get": {"summary": "Metrics for Prometheus.", "responses": {"200": metrics}}},
        "/openapi.json": _get("This description.", {"type": "object"}),
    }


def _models(schema: Mapping[str, Any]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    model = (_in_path("model", schema),)
    for start, parameters in (
        ("/v2/models/{model}", model),
        (
            "/v2/models/{model}/versions/{version}",
            (*model, _in_path("version", {"type": "string", "pattern": "^[1-9][0-9]*$"})),
        ),
    ):
        for end, summary in (
            ("", "Inputs and outputs of a model."),
            ("/ready", "Is the model ready for requests?"),
            ("/config", "The model's configuration in Triton's form."),
            ("/stats", "What the model has done."),
        ):
            paths[start + end] = _get(summary, {"type": "object"}, "400", "404", "503", parameters=parameters)
        ready = {"type": "object", "properties": {"name": _TEXT, "ready": {"type": "boolean"}}}
        paths[f"{start}/ready"]["get"]["responses"]["503"]["content"] = _json(ready)
        paths[f"{start}/infer"] = {"post": _infer(parameters)}
    return paths


def _infer(parameters: tuple[Any, ...]) -> dict[str, Any]:
    length = {
        "name": HEADER_LENGTH,
        "in": "header",
        "required": False,
        "description": "Bytes of the body that are JSON; binary tensors follow. 0: the body is one picture.",
        "schema": {"type": "integer", "minimum": 0},
    }
    answer = {**_json({"$ref": "#/components/schemas/InferResponse"}), _BYTES: {}}
    return {
        "summary": "Classify images (Open Inference Protocol).",
        "parameters": [*parameters, length],
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": {"$ref": "#/components/schemas/InferRequest"}}, _BYTES: {}},
        },
        "responses": _answers(answer, "400", "404", "408", "413", "415", "500", "503", "504"),
    }


def _repository(schema: Mapping[str, Any], settings: HttpSettings) -> dict[str, Any]:
    body = {"required": False, "content": _json({"type": "object"})}
    index = {
        "summary": "Every version of every model.",
        "requestBody": {
            "required": False,
            "content": _json({"type": "object", "properties": {"ready": {"type": "boolean"}}}),
        },
        "responses": _answers(_json({"type": "array", "items": {"type": "object"}}), "400", "408", "413", "415"),
    }
    paths: dict[str, Any] = {"/v2/repository/index": {"post": index}}
    for verb, summary in (("load", "Load a model again."), ("unload", "Take a model out.")):
        codes = ("400", "403", "404", "408", "409", "413", "415") if settings.allow_reload else ("403",)
        paths[f"/v2/repository/models/{{model}}/{verb}"] = {
            "post": {
                "summary": summary,
                "parameters": [_in_path("model", schema)],
                "requestBody": body,
                "responses": _answers({}, *codes),
            }
        }
    return paths


def _schemas() -> dict[str, Any]:
    shape = {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 8}
    free = {"type": "object"}
    tensor = {
        "name": {"enum": [IMAGES, ENCODED]},
        "datatype": {"enum": ["UINT8", "BYTES"]},
        "shape": shape,
        "parameters": free,
        "data": {"type": "array", "description": f"Pixels 0 to 255; of `{ENCODED}` files in Base64."},
    }
    wanted = {"name": {"enum": list(OUTPUTS)}, "parameters": free}
    given = {"name": _TEXT, "datatype": _TEXT, "shape": shape, "data": {"type": "array"}, "parameters": free}
    best = {"class": _TEXT, "probability": {"type": ["number", "null"]}}
    return {
        "Error": _object({"error": _TEXT}, "error"),
        "InferRequest": _object(
            {
                "id": _TEXT,
                "parameters": free,
                "inputs": _array(_object(tensor, "name", "datatype", "shape"), minItems=1, maxItems=1),
                "outputs": _array(_object(wanted, "name"), maxItems=len(OUTPUTS)),
            },
            "inputs",
        ),
        "InferResponse": _object(
            {"model_name": _TEXT, "model_version": _TEXT, "id": _TEXT, "outputs": _array(_object(given, "name"))},
            *("model_name", "outputs"),
        ),
        "Prediction": _object(
            {
                "model": _TEXT,
                "version": _TEXT,
                "label": {"type": ["string", "null"]},
                "probability": {"type": ["number", "null"]},
                "top": _array(_object(best, "class", "probability")),
                "set": _array(_TEXT),
                "ms": free,
                "warnings": _array(_TEXT),
                "drift": {"type": ["object", "null"]},
            },
            *("model", "version", "label", "probability", "top"),
        ),
    }


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _array(items: Mapping[str, Any], **bounds: int) -> dict[str, Any]:
    return {"type": "array", "items": dict(items), **bounds}
