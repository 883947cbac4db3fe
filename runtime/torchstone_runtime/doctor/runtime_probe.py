"""What ONNX Runtime really does here, tried by `python -m torchstone_runtime.doctor.runtime_probe` in its own process.

Broken libraries can end a process, and print what they like. So each step is a line of JSON on stdout as soon as it
is done, and all else goes to stderr.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.doctor.libraries import inspect_libraries
from torchstone_runtime.doctor.provider_speed import measure
from torchstone_runtime.doctor.tiny_model import FACTOR, PIXELS, tiny_model
from torchstone_runtime.system.nvidia_driver import ask_driver

WRITTEN_IR: Final = 10
WRITTEN_OPSET: Final = 20
"""What `torchstone export` writes (docs/reference/bundle-format.md)."""

_LIMIT: Final = 100
_ERRORS_ONLY: Final = 3


def main() -> None:
    """Run every step and print a line of JSON for each: import, driver, libraries, sessions, ceilings, resizing."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as report:
        os.dup2(2, 1)  # whatever native code prints must not come between the lines

        def say(step: str, result: Any) -> None:  # noqa: ANN401 - anything that JSON can say
            print(json.dumps({"step": step, "result": result}), file=report, flush=True)

        ort = _import(say)
        say("driver", ask_driver())
        if ort is not None and hasattr(ort, "preload_dlls"):
            ort.preload_dlls()  # as a session on a GPU does
        say("libraries", inspect_libraries(_native_folder()))
        if ort is not None:
            for provider in ort.get_available_providers():
                say("session", {"provider": provider, **_try_provider(ort, provider)})
            say("speed", _speed(ort))
            ir, opset = (_ceiling(ort, name) for name in ("ir_version", "opset"))
            say("ceilings", {"ir_version": ir, "opset": opset})
        say("resizing", _resizing())


def _import(say: Callable[[str, Any], None]) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    try:
        import onnxruntime as ort  # noqa: PLC0415 - whether this works is the question

        # A folder that was left without its files is imported as well, and has none of these.
        found = {"version": ort.__version__, "has": ort.get_available_providers()}
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        say("import", {"error": f"{type(error).__name__}: {error}"})
        return None
    cuda = getattr(ort, "cuda_version", "") or None
    say("import", {**found, "folder": str(_native_folder().parent), "cuda": cuda})
    return ort


def _native_folder() -> Path:
    spec = importlib.util.find_spec("onnxruntime")
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0] if places else os.devnull) / "capi"


def _try_provider(ort: Any, provider: str) -> dict[str, Any]:  # noqa: ANN401 - onnxruntime ships no types
    import numpy as np  # noqa: PLC0415 - the other steps must work without it

    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    model = tiny_model(ir_version=WRITTEN_IR, opset=WRITTEN_OPSET)
    try:
        session = ort.InferenceSession(model, options, providers=[provider], enable_fallback=0)
        (found,) = session.run(None, {"x": np.ones((1, 1, 2, 2), np.float32)})
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class of their own
        return {"error": str(error).strip()[:1000]}
    if found.ravel().tolist() != [FACTOR] * PIXELS:
        return {"error": f"it computes {found.ravel().tolist()} instead of {[FACTOR] * PIXELS}"}
    return {"offers": session.get_providers(), "nodes": _assignment(session)}


def _assignment(session: Any) -> dict[str, list[str]] | None:  # noqa: ANN401 - onnxruntime ships no types
    if not hasattr(session, "get_provider_graph_assignment_info"):  # an older ONNX Runtime
        return None
    nodes: dict[str, list[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        nodes.setdefault(part.ep_name, []).extend(node.op_type for node in part.get_nodes())
    return nodes


def _speed(ort: Any) -> dict[str, float] | None:  # noqa: ANN401 - onnxruntime ships no types
    try:
        return measure(ort)
    except Exception:  # noqa: BLE001 - what does not run is told by the sessions
        return None


def _resizing() -> dict[str, bool] | None:
    try:
        from torchstone_runtime.images.resampling.compiled import has_vectors, is_compiled  # noqa: PLC0415 - may fail
    except Exception:  # noqa: BLE001 - a broken NumPy or Pillow raises anything, and is told by its own check
        return None
    return {"compiled": is_compiled(), "vectors": has_vectors()}


def _ceiling(ort: Any, name: str) -> int | None:  # noqa: ANN401 - onnxruntime ships no types
    """Return the largest version that loads, or None where that which Torchstone writes does not."""
    written = {"ir_version": WRITTEN_IR, "opset": WRITTEN_OPSET}
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    for version in range(written[name], _LIMIT):
        try:
            ort.InferenceSession(tiny_model(**{**written, name: version}), options, providers=["CPUExecutionProvider"])
        except Exception:  # noqa: BLE001 - the first one that is refused ends the search
            return version - 1 if version > written[name] else None
    return _LIMIT


if __name__ == "__main__":
    main()
    sys.stdout.flush()
