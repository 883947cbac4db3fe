"""Which of the providers that compute on the processor is the faster one here, on a network that is always there."""

import time
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.doctor.finding import Finding
from torchstone_runtime.system.openvino import openvino_options

_MODEL: Final = Path(__file__).parents[1] / "bundle" / "builtin" / "fashion" / "model.onnx"
_PIXELS: Final = (28, 28)
_PICTURES: Final = 64
_ROUNDS: Final = 15
_ORDER: Final = 3
"""Ratios left out at either end: of 15, the 4th and the 12th are a 96% interval of the median."""
_STATED_GAIN: Final = 1.1
_ERRORS_ONLY: Final = 3


def measure(ort: Any) -> dict[str, float] | None:  # noqa: ANN401 - onnxruntime ships no types
    """Time the built-in network on OpenVINO against the CPU provider, one thread each, in turns.

    Args:
        ort: the module `onnxruntime`.

    Returns:
        The median of the ratios of the times, above 1 where OpenVINO is faster, with the ends of its interval; None
        where one of the two is missing.
    """
    if "OpenVINOExecutionProvider" not in ort.get_available_providers():
        return None
    import numpy as np  # noqa: PLC0415 - the probe's other steps must work without it

    pictures = np.random.RandomState(0).randint(0, 256, (_PICTURES, 1, *_PIXELS), dtype=np.uint8)
    sides: tuple[tuple[str, dict[str, str]], ...] = (
        ("CPUExecutionProvider", {}),
        ("OpenVINOExecutionProvider", openvino_options("fp32", threads=1, streams=1)),
    )
    sessions = [_session(ort, provider, options) for provider, options in sides]
    for session in sessions:
        session.run(["logits"], {"images": pictures})  # a first call allocates
    ratios = []
    for _ in range(_ROUNDS):
        seconds = []
        for session in sessions:
            started = time.perf_counter()
            session.run(["logits"], {"images": pictures})
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
    ratios.sort()
    return {"ratio": ratios[_ROUNDS // 2], "low": ratios[_ORDER], "high": ratios[-1 - _ORDER]}


def check_speed(probed: dict[str, Any]) -> Finding | None:
    """State which provider is faster, and by which ratio; None where there is no choice.

    Args:
        probed: findings of the doctor's probe.
    """
    speed = probed.get("speed")
    if speed is None:
        return None
    what = "openvino ran the built-in network (28 x 28 pixels, fp32, 64 pictures per call, one thread) "
    what += f"{speed['ratio']:.2f} times as fast as cpu (interval {speed['low']:.2f} to {speed['high']:.2f})"
    if speed["low"] >= _STATED_GAIN:
        return Finding("speed", "ok", f"{what}: --provider openvino is faster here", details=speed)
    if speed["high"] <= 1 / _STATED_GAIN:
        return Finding("speed", "ok", f"{what}: --provider cpu is faster here", details=speed)
    return Finding(
        "speed", "ok", f"{what}: neither is clearly faster; torchstone bench compares them for a bundle", details=speed
    )


def _session(ort: Any, provider: str, options: dict[str, str]) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    settings = ort.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    settings.intra_op_num_threads = 1
    return ort.InferenceSession(_MODEL.read_bytes(), settings, providers=[(provider, options)])
