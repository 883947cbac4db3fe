"""Options of OpenVINO, as ONNX Runtime's provider takes them: precision, threads and streams, never left to chance."""

import json
from typing import Final, Literal

Precision = Literal["fp32", "bf16"]
"""Number format in which products are computed."""

OPENVINO: Final = "openvino"
ON_PROCESSOR: Final = ("cpu", OPENVINO)
"""Providers that compute on the processor itself: its features decide what they compute, and its cores are theirs."""
_HINTS: Final[dict[Precision, str]] = {"fp32": "f32", "bf16": "bf16"}


def openvino_options(precision: Precision, *, threads: int, streams: int) -> dict[str, str]:
    """Return the options of a session on the processor.

    OpenVINO itself computes in bfloat16 by default wherever the processor can, and takes all cores of the host; so
    each is stated. Its threads are not pinned: two processes would be pinned to the same cores.

    Args:
        precision: number format of the products.
        threads: threads of the session, all streams together.
        streams: calls that run at once, each on its share of the threads.
    """
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": str(threads),
        "NUM_STREAMS": str(streams),
        "ENABLE_CPU_PINNING": "NO",
    }
    return {"device_type": "CPU", "load_config": json.dumps({"CPU": settings})}
