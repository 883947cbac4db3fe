"""What the probe found, as findings: import, native libraries, providers, ceilings."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

from torchstone_runtime.doctor.finding import Finding
from torchstone_runtime.doctor.runtime_probe import WRITTEN_IR, WRITTEN_OPSET
from torchstone_runtime.system.nvidia_driver import DRIVER_LIBRARY

KNOWN: Final = {
    "CPUExecutionProvider": "cpu",
    "CUDAExecutionProvider": "cuda",
    "TensorrtExecutionProvider": "tensorrt",
    "OpenVINOExecutionProvider": "openvino",
}
"""ONNX Runtime's names for the providers that Torchstone uses; `inference.providers` needs it imported."""

_TIMEOUT: Final = 120
_OPTIONAL: Final = ("tensorrt", "openvino")


def run_probe() -> dict[str, Any]:
    """Run the probe and return its steps: `import`, `driver`, `libraries`, `sessions`, `ceilings`, `ended`.

    A step that it did not reach is absent; `ended` says how it ended early, and is empty otherwise.
    """
    # -P: a module in the current directory must not take the place of a real one.
    command = [sys.executable, "-P", "-m", "torchstone_runtime.doctor.runtime_probe"]
    try:
        result = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
        output, code = result.stdout, result.returncode
    except subprocess.TimeoutExpired as error:
        output, code = error.stdout or b"", 0
        ended = f"gave no answer within {_TIMEOUT} seconds"
    else:
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}" if code else ""
    return {**_steps(output.decode(errors="replace")), "ended": ended}


def _steps(output: str) -> dict[str, Any]:
    found: dict[str, Any] = {"sessions": []}
    for line in output.splitlines():
        try:
            step = json.loads(line)
        except ValueError:  # cut off by the end of the process
            continue
        if step["step"] == "session":
            found["sessions"].append(step["result"])
        else:
            found[step["step"]] = step["result"]
    return found


def check_import(probed: dict[str, Any]) -> Finding:
    """Check that ONNX Runtime can be imported, and that trying it out did not end the process."""
    imported = probed.get("import") or {"error": "the process that tried it " + (probed["ended"] or "said nothing")}
    if "error" in imported:
        summary = f"onnxruntime is installed but cannot be imported: {imported['error']}"
        return Finding("import", "broken", summary, "Fix the problems listed above, or install it again.", imported)
    if probed["ended"]:
        summary = f"the process that tried ONNX Runtime out {probed['ended']}"
        return Finding("import", "broken", summary, "Install ONNX Runtime again.", imported)
    return Finding("import", "ok", f"onnxruntime {imported['version']} from {imported['folder']}", details=imported)


def check_libraries(probed: dict[str, Any]) -> Finding:
    """Check that each native library of ONNX Runtime finds the libraries that it needs."""
    lacking = {entry["library"]: entry["missing"] for entry in probed.get("libraries", []) if entry["missing"]}
    details = {"missing": lacking}
    needed = {library: names for library, names in lacking.items() if not any(word in library for word in _OPTIONAL)}
    if not lacking:
        return Finding("libraries", "ok", "all native libraries find what they need", details=details)
    text = "; ".join(f"{library} lacks {', '.join(names)}" for library, names in lacking.items())
    if not needed:
        return Finding("libraries", "note", f"{text} (only TensorRT and OpenVINO need it)", details=details)
    return Finding("libraries", "broken", text, remedy_for_libraries(needed), details)


def remedy_for_libraries(needed: dict[str, dict[str, str]]) -> str:
    """Return what installs the libraries that are missing, given as `check_libraries` has them in its details."""
    names = {name for missing in needed.values() for name in missing}
    remedies = []
    if any(name.startswith(("libcu", "libnv")) and name != DRIVER_LIBRARY for name in names):
        remedies.append("pip install 'onnxruntime-gpu[cuda,cudnn]'")
    if DRIVER_LIBRARY in names:
        remedies.append(
            f"{DRIVER_LIBRARY} comes with the NVIDIA driver: install that, or start the container with its GPU"
        )
    return "; ".join(remedies) or "Install the packages of your system that hold them."


def check_providers(probed: dict[str, Any]) -> Iterator[Finding]:
    """Check each provider of Torchstone that this ONNX Runtime has, by the session that it really made."""
    broken_cuda = "Fix what this line and the lines 'libraries', 'cuda' and 'gpu' name; until then, use --provider cpu."
    for session in probed.get("sessions", []):
        provider = KNOWN.get(session["provider"])
        if provider is None:  # one that Torchstone has no use for
            continue
        if fault := _fault(session):
            optional = provider in _OPTIONAL
            remedy = f"Only --provider {provider} needs it." if optional else broken_cuda
            yield Finding(f"provider {provider}", "note" if optional else "broken", fault, remedy, session)
        else:
            summary = "made a session, computed right, and ran every node"
            yield Finding(f"provider {provider}", "ok", summary, details=session)


def computes(probed: dict[str, Any], provider: str) -> bool:
    """Return whether a session on the provider did its work."""
    return any(KNOWN.get(item["provider"]) == provider and not _fault(item) for item in probed.get("sessions", []))


def _fault(session: dict[str, Any]) -> str:
    if "error" in session:
        return f"cannot make a session: {session['error']}"
    if session["offers"][0] != session["provider"]:
        return f"is built in but does not load: the session runs on {session['offers'][0]}"
    others = sorted(set(session["nodes"] or ()) - {session["provider"]})
    return f"leaves nodes to {', '.join(others)}" if others else ""


def check_ceilings(probed: dict[str, Any]) -> Finding | None:
    """Check that this ONNX Runtime reads what Torchstone writes; None where it could not be tried."""
    ceilings = probed.get("ceilings")
    if ceilings is None:
        return None
    ir, opset = ceilings["ir_version"], ceilings["opset"]
    if ir is None or opset is None:
        wanted = f"IR version {WRITTEN_IR} and opset {WRITTEN_OPSET}"
        remedy = "pip install --upgrade onnxruntime (or onnxruntime-gpu, whichever is installed)"
        return Finding("onnx", "broken", f"does not read {wanted}, which bundles have", remedy, ceilings)
    summary = (
        f"reads ONNX files up to IR version {ir} and opset {opset} (bundles have {WRITTEN_IR} and {WRITTEN_OPSET})"
    )
    return Finding("onnx", "ok", summary, details=ceilings)
