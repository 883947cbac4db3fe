"""Execution providers by the names that people use, and sessions that really run on the one asked for."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import onnxruntime as ort

from torchstone_runtime.errors import BundleError, UsageError, first_line, suggestion
from torchstone_runtime.inference.gpu_options import ON_NVIDIA, provider_options, tensorrt_profile
from torchstone_runtime.inference.load_options import ON_CPU, LoadOptions
from torchstone_runtime.inference.onnx_graph import check_graph
from torchstone_runtime.inference.session_io import OrtSession, row_shape
from torchstone_runtime.system.cpu import usable_cpus
from torchstone_runtime.system.load_deadline import load_deadline
from torchstone_runtime.system.nvidia_driver import ask_driver
from torchstone_runtime.system.openvino import OPENVINO, Precision, openvino_options
from torchstone_runtime.system.thread_output import own_output_to

PROVIDERS: Final[dict[str, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_DISABLED: Final = ["WeightBiasQuantization"]
"""Rounds to 8 bits, per tensor, the weights of a layer that an int8 file keeps in float on purpose."""
_CALLED_ELSEWHERE: Final = {"gpu": "cuda", "nvidia": "cuda", "trt": "tensorrt", "intel": "openvino"}
_ERRORS_ONLY: Final = 3
_FATAL_ONLY: Final = 4
"""Where the error is raised as well: in the log it would stand twice, and once where it was only a trial."""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session with the provider that every node runs on, why it was chosen, and what it may do on a GPU.

    Attributes:
        session: ONNX Runtime's session.
        provider: one of `PROVIDERS`.
        reason: reason for this provider, in words.
        tf32, cuda_graphs: permissions of `LoadOptions`; off on the CPU.
        precision: number format of the products; `fp32` unless a variant was certified in another.
    """

    session: OrtSession
    provider: str
    reason: str
    tf32: bool = False
    cuda_graphs: bool = False
    precision: Precision = "fp32"


class _NotOpenedError(Exception):
    """A provider that is built in made no session that runs every node on it.

    Attributes:
        said: message of ONNX Runtime about what happened.
        operators: types of the nodes that would be left to the CPU, where that is the fault.
        lenient: session in which the CPU runs these nodes, where that is the fault.
    """

    def __init__(self, said: str, operators: list[str], lenient: OrtSession | None = None) -> None:
        super().__init__(said)
        self.said = said
        self.operators = operators
        self.lenient = lenient


def open_session(model: bytes, options: LoadOptions) -> OpenedSession:
    """Create an ONNX Runtime session of one thread that runs wholly on one provider.

    Args:
        model: the bytes of an ONNX file.
        options: options, of which the provider and its permissions, `precision` and `threads` are read. The provider
            is `auto`, or a key of `PROVIDERS`; `auto` takes CUDA where it works, else the CPU.

    Raises:
        UsageError: no provider of that name, or choices for a GPU that it isn't.
        ProviderError: the provider asked for by name is not there, or would leave nodes to the CPU, which
            `cpu_fallback` did not allow; it names what is missing.
        BundleError: ONNX Runtime cannot read the model, or it is one that may never end (see `check_graph`).
    """
    provider = options.provider
    if provider not in ("auto", *PROVIDERS):
        raise UsageError(
            f"There is no provider '{provider}'.", suggestion(provider, ["auto", *PROVIDERS], _CALLED_ELSEWHERE)
        )
    options.check()
    check_graph(model)
    if provider == "auto":
        return _open_best(model, options)
    if provider == "cpu":
        return OpenedSession(_open_on_cpu(model), provider, "asked for by name")
    return _open_by_name(model, provider, options)


def is_built_in(provider: str) -> bool:
    """Return whether the installed ONNX Runtime has a provider, by Torchstone's name; whether it works is not tried."""
    return PROVIDERS.get(provider) in ort.get_available_providers()


def open_shared_session(model: bytes, threads: int, options: LoadOptions = ON_CPU) -> OrtSession:
    """Create a session on the processor whose calls are computed by several threads, for one call at a time.

    Its threads wait for work by spinning while a call is in progress, and sleep between calls.

    Args:
        model: the bytes of an ONNX file that `open_session` has opened before.
        threads: number of threads, the caller's among them.
        options: options of the first session; the provider is `cpu` or `openvino`.

    Raises:
        BundleError: ONNX Runtime cannot read the model.
    """
    if options.provider == OPENVINO:
        own = openvino_options(options.precision, threads=threads, streams=1)
        return _on(model, OPENVINO, own, strict=not options.cpu_fallback)
    settings = _session_options(threads)
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    with load_deadline("to open"):
        return _create(model, [PROVIDERS["cpu"]], settings)


def _opened(session: OrtSession, provider: str, reason: str, options: LoadOptions) -> OpenedSession:
    return OpenedSession(
        session, provider, reason, tf32=options.tf32, cuda_graphs=options.cuda_graphs, precision=options.precision
    )


def _open_best(model: bytes, options: LoadOptions) -> OpenedSession:
    if PROVIDERS["cuda"] not in ort.get_available_providers():
        return OpenedSession(_open_on_cpu(model), "cpu", "the installed ONNX Runtime has no CUDA provider")
    try:
        return _opened(_try(model, "cuda", options), "cuda", "a CUDA device is usable", options)
    except _NotOpenedError as error:
        reason = f"CUDA is not usable: {error.said}; see torchstone doctor"
        if error.operators:
            reason = f"CUDA cannot run every node of this model: {count_operators(error.operators)}"
        return OpenedSession(_open_on_cpu(model), "cpu", reason)


def _open_on_cpu(model: bytes) -> OrtSession:
    with load_deadline("to open"):
        return _create(model, [PROVIDERS["cpu"]], _session_options())


def _open_by_name(model: bytes, provider: str, options: LoadOptions) -> OpenedSession:
    built_in, reason = ort.get_available_providers(), "asked for by name"
    if PROVIDERS[provider] in built_in:
        try:
            return _opened(_try(model, provider, options), provider, reason, options)
        except _NotOpenedError as error:
            failed = error
        if options.cpu_fallback and failed.lenient is not None:
            reason += f"; left to the CPU, as allowed: {count_operators(failed.operators)}"
            return _opened(failed.lenient, provider, reason, options)
    # Only now: it reads what is installed and may start a process.
    from torchstone_runtime.inference import provider_errors as provider_faults  # noqa: PLC0415

    if PROVIDERS[provider] not in built_in:
        raise provider_faults.not_built_in(provider, [key for key, name in PROVIDERS.items() if name in built_in])
    if failed.operators:
        raise provider_faults.left_to_cpu(provider, failed.operators) from failed
    raise provider_faults.does_not_work(provider, failed.said) from failed


def _try(model: bytes, provider: str, wanted: LoadOptions) -> OrtSession:
    if provider in ON_NVIDIA and not (driver := ask_driver())["devices"]:
        # Not left to ONNX Runtime, which would fill the log and then blame the model.
        raise _NotOpenedError(f"no NVIDIA GPU answers ({driver.get('error', 'the driver sees none')})", [])
    sha256 = hashlib.sha256(model).hexdigest()
    if provider == OPENVINO:
        threads = wanted.threads or usable_cpus()
        options = openvino_options(wanted.precision, threads=threads, streams=threads)
    else:
        options = provider_options(provider, sha256, tf32=wanted.tf32, cuda_graphs=wanted.cuda_graphs)
        options |= _profile(model) if provider == "tensorrt" else {}
    if hasattr(ort, "preload_dlls"):
        with own_output_to(None, "stdout"):  # it prints what it doesn't find, between the results
            ort.preload_dlls()
    try:
        session = _on(model, provider, options, strict=True)
    except Exception as error:  # onnxruntime's exceptions share no base class of their own.
        raise _examine(model, provider, options, first_line(error)) from error
    if session.get_providers()[0] != PROVIDERS[provider]:
        raise _NotOpenedError(f"it does not load; ONNX Runtime offers {session.get_providers()} instead", [])
    if left := _left_to_cpu(session):
        raise _NotOpenedError(f"it leaves {len(left)} nodes to the CPU", left, session)
    return session


def _profile(model: bytes) -> dict[str, str]:
    # The shape by a session on the CPU, which costs little beside the engine that TensorRT is about to build.
    images = _open_on_cpu(model).get_inputs()[0]
    return tensorrt_profile(images.name, row_shape(images))


def _on(model: bytes, provider: str, options: dict[str, str], *, strict: bool) -> OrtSession:
    settings = _session_options()
    settings.log_severity_level = _FATAL_ONLY
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if strict:
        # Without this, nodes that the provider can't run go to the CPU without a word.
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session: OrtSession = ort.InferenceSession(
        model, settings, providers=[(PROVIDERS[provider], options)], enable_fallback=0
    )
    return session


def _examine(model: bytes, provider: str, options: dict[str, str], said: str) -> _NotOpenedError:
    """Find out why there is no strict session: ONNX Runtime blames the nodes also where no library was loaded."""
    try:
        session = _on(model, provider, options, strict=False)
    except Exception:  # noqa: BLE001 - onnxruntime's exceptions share no base class of their own
        return _NotOpenedError(said, [])
    if session.get_providers()[0] != PROVIDERS[provider]:
        return _NotOpenedError("its library does not load", [])
    left = _left_to_cpu(session)
    return _NotOpenedError(said, left, session if left else None)


def count_operators(operators: Sequence[str]) -> str:
    """Return types of nodes with their numbers, for people."""
    return ", ".join(f"{count} {name}" for name, count in Counter(operators).items())


def _left_to_cpu(session: OrtSession) -> list[str]:
    ask = getattr(session, "get_provider_graph_assignment_info", None)
    if ask is None:  # an older ONNX Runtime
        return []
    assigned = ask()
    return [node.op_type for part in assigned if part.ep_name == PROVIDERS["cpu"] for node in part.get_nodes()]


def _create(model: bytes, providers: list[str], options: Any) -> OrtSession:  # noqa: ANN401 - onnxruntime ships no types
    try:
        session: OrtSession = ort.InferenceSession(model, options, providers=providers, disabled_optimizers=_DISABLED)
    except Exception as error:  # onnxruntime's exceptions share no base class of their own.
        raise BundleError(
            f"ONNX Runtime {ort.__version__} cannot load the model: {first_line(error)}",
            "The file is damaged, or made for a later ONNX Runtime: update it.",
        ) from error
    return session


def _session_options(threads: int = 1) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    options = ort.SessionOptions()
    # One thread per call, several calls at once: as fast as one call on several threads where the machine is idle, and
    # far faster where it is not (docs/explanation/design.md).
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads == 1 else "1")
    # Weights outside the file would be looked for in the current directory; in here there is never any.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    options.log_severity_level = _ERRORS_ONLY
    accept_onnx_alone(options)
    return options


def accept_onnx_alone(options: Any) -> None:  # noqa: ANN401 - onnxruntime ships no types
    """Make a session refuse ONNX Runtime's own format, which it would recognise by content.

    A file can be both: an ONNX file to `check_graph`, and another model to the session.
    """
    options.add_session_config_entry("session.load_model_format", "ONNX")
