"""TensorRT by its own Python package, where that is installed: an engine for one batch size, with its memory bound."""

from importlib import import_module
from typing import Any

import torch

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import MissingComponentError


def arm(content: bytes, images: Uint8Array, form: str) -> Any:  # noqa: ANN401 - a function without arguments
    """Return a call of an engine that was built for these images.

    Raises:
        MissingComponentError: the package tensorrt is not installed.
    """
    try:
        trt = import_module("tensorrt")
    except ImportError as error:
        raise MissingComponentError("The package tensorrt is not installed.", "pip install tensorrt-cu13") from error
    engine = _build(trt, content, images, form)
    context = engine.create_execution_context()
    shape = tuple(images.shape)
    context.set_input_shape("images", shape)
    source = torch.from_numpy(images).pin_memory()
    held = {"images": torch.empty(shape, dtype=torch.uint8, device="cuda")}
    for name in ("logits", "probabilities"):
        held[name] = torch.empty(tuple(context.get_tensor_shape(name)), device="cuda")
    for name, tensor in held.items():
        context.set_tensor_address(name, tensor.data_ptr())
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def run() -> Any:  # noqa: ANN401 - an array
        with torch.cuda.stream(stream):
            held["images"].copy_(source, non_blocking=True)
            context.execute_async_v3(stream.cuda_stream)
            return held["logits"].cpu().numpy()

    return run


def _build(trt: Any, content: bytes, images: Uint8Array, form: str) -> Any:  # noqa: ANN401 - it ships no types
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        raise RuntimeError(str(parser.get_error(0)))
    config = builder.create_builder_config()
    if form == "fp16":
        config.set_flag(trt.BuilderFlag.FP16)
    elif form == "int8":
        raise RuntimeError("int8 is given to TensorRT as a quantised file, through ONNX Runtime")
    elif form == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    profile.set_shape("images", images.shape, images.shape, images.shape)
    config.add_optimization_profile(profile)
    return trt.Runtime(logger).deserialize_cuda_engine(builder.build_serialized_network(network, config))
