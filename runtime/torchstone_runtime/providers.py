"""Execution providers by the names that people use, and sessions that really run on the one asked for."""

import os
from dataclasses import dataclass
from typing import Any, Final

import onnxruntime as ort

from torchstone_runtime.errors import BundleError, ProviderError, UsageError, suggestion
from torchstone_runtime.onnx_graph import check_graph

PROVIDERS: Final[dict[str, str]] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_OPTIONS: Final[dict[str, dict[str, str]]] = {
    # TF32 keeps 10 bits of mantissa: its errors would drown what the certificate measured.
    "cuda": {"use_tf32": "0"},
}
_WHEELS: Final = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
_DISABLED: Final = ["WeightBiasQuantization"]
"""Rounds to 8 bits, per tensor, the weights of a layer that an int8 file keeps in float on purpose."""
_ERRORS_ONLY: Final = 3


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session with the provider that every node runs on, and why it was chosen."""

    session: Any
    provider: str
    reason: str


def open_session(model: bytes, provider: str) -> OpenedSession:
    """Create an ONNX Runtime session of one thread that runs wholly on one provider.

    Args:
        model: the bytes of an ONNX file.
        provider: `auto`, or a key of `PROVIDERS`. `auto` takes CUDA where it works, else the CPU.

    Raises:
        UsageError: no provider of that name.
        ProviderError: the provider asked for by name is not there, or would leave nodes to the CPU.
        BundleError: ONNX Runtime cannot read the model, or it is one that may never end (see `check_graph`).
    """
    if provider not in ("auto", *PROVIDERS):
        raise UsageError(f"There is no provider '{provider}'.", suggestion(provider, ["auto", *PROVIDERS]))
    check_graph(model)
    if provider == "auto":
        return _open_best(model)
    return OpenedSession(_open_strict(model, provider), provider, "asked for by name")


def _open_best(model: bytes) -> OpenedSession:
    if PROVIDERS["cuda"] not in ort.get_available_providers():
        return OpenedSession(_open_strict(model, "cpu"), "cpu", "the installed ONNX Runtime has no CUDA provider")
    try:
        return OpenedSession(_open_strict(model, "cuda"), "cuda", "a CUDA device is usable")
    except ProviderError as error:
        return OpenedSession(_open_strict(model, "cpu"), "cpu", f"CUDA is not usable: {error.problem}")


def _open_strict(model: bytes, provider: str) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    name = PROVIDERS[provider]
    if name not in ort.get_available_providers():
        raise _not_built_in(provider)
    if provider == "cpu":
        return _create(model, [name], _session_options())
    if hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    options = _session_options()
    # Without this, nodes that the provider can't run go to the CPU without a word.
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        session = ort.InferenceSession(
            model, options, providers=[(name, _OPTIONS.get(provider, {}))], enable_fallback=0
        )
    except Exception as error:  # onnxruntime's exceptions share no base class of their own.
        raise ProviderError(
            f"The provider '{provider}' cannot run this model: {_first_line(error)}",
            "Check the driver and the libraries that the provider needs, or use --provider cpu.",
        ) from error
    if session.get_providers()[0] != name:
        raise ProviderError(
            f"The provider '{provider}' did not load: ONNX Runtime offers {session.get_providers()} instead.",
            "A driver or library is missing (its message is above), or use --provider cpu.",
        )
    return session


def _create(model: bytes, providers: list[str], options: Any) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    try:
        return ort.InferenceSession(model, options, providers=providers, disabled_optimizers=_DISABLED)
    except Exception as error:  # onnxruntime's exceptions share no base class of their own.
        raise BundleError(
            f"ONNX Runtime {ort.__version__} cannot load the model: {_first_line(error)}",
            "The file is damaged, or made for a later ONNX Runtime: update it.",
        ) from error


def _session_options() -> Any:  # noqa: ANN401 - onnxruntime ships no types
    options = ort.SessionOptions()
    # One thread a call, several calls at once: as fast as one call on several threads where the machine is idle, and
    # far faster where it is not (docs/design.md).
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights outside the file would be looked for in the current directory; in here there is never any.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    options.log_severity_level = _ERRORS_ONLY
    return options


def _not_built_in(provider: str) -> ProviderError:
    installed = [f"{wheel} {version}" for wheel in _WHEELS if (version := _version(wheel))]
    available = [key for key, name in PROVIDERS.items() if name in ort.get_available_providers()]
    remedy = f"Use --provider {available[0] if available else 'auto'}."
    if provider in ("cuda", "tensorrt"):
        remedy = (
            "Install the GPU runtime: pip uninstall --yes onnxruntime, then pip install 'torchstone[gpu]'. "
            "It needs an NVIDIA GPU and driver."
        )
    return ProviderError(
        f"The provider '{provider}' is not part of the installed ONNX Runtime "
        f"({', '.join(installed) or ort.__version__}), which has: {', '.join(available)}.",
        remedy,
    )


def _version(distribution: str) -> str | None:
    import importlib.metadata  # noqa: PLC0415 - costs a tenth of a cold start, and is for messages only

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
