"""Triton's own definition of a model's configuration, without Triton, gRPC or a server."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def parse_config(text: str) -> Any:  # noqa: ANN401 - a message whose class is made at run time
    """Return a `config.pbtxt` as Triton's message, which has no unknown field; skips without tritonclient."""
    from google.protobuf import text_format

    return text_format.Parse(text, _definitions().ModelConfig())


def _definitions() -> ModuleType:
    found = importlib.util.find_spec("tritonclient")
    if found is None or not found.submodule_search_locations:
        pytest.skip("tritonclient is not installed")
    path = Path(next(iter(found.submodule_search_locations))) / "grpc" / "model_config_pb2.py"
    # By its file: the package that it lies in wants grpcio.
    spec = importlib.util.spec_from_file_location("triton_model_config", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
