"""The TorchScript file: traced, frozen, and freed of the traces of the machine that made it."""

import io
import re
import warnings
import zipfile
from typing import Final, cast

import torch

from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.engine import Outputs

_ALIGNMENT: Final = 64
"""PyTorch aligns the data of each member so that tensors can be mapped into memory."""
_LOCAL_HEADER: Final = 30
"""Size of a zip member's header without name and extra field (PKWARE APPNOTE, 4.3.7)."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def export_torchscript(model: ExportableClassifier, spec: InputSpec) -> bytes:
    """Return the model as a TorchScript archive that takes uint8 images and gives (logits, probabilities).

    Args:
        model: model in evaluation mode on the CPU.
        spec: input specification of the model.
    """
    example = torch.zeros((2, *spec.shape), dtype=torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # TorchScript is deprecated in favour of torch.export; its files are what this format is asked for.
        warnings.simplefilter("ignore")
        traced = torch.jit.freeze(torch.jit.trace(model, (example,), check_trace=False))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, buffer)
    return _without_traces(buffer.getvalue())


class TorchScriptRunner:
    """Runs a TorchScript archive that this process wrote, or whose hash was checked: loading one runs its code."""

    def __init__(self, archive: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._module = torch.jit.load(io.BytesIO(archive), map_location="cpu")  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def run(self, images: Uint8Array) -> Outputs:
        """Return logits and probabilities, float32 (N, K), for uint8 images (N, C, H, W)."""
        logits, probabilities = self._module(torch.from_numpy(images))
        return cast("Outputs", (logits.numpy(), probabilities.numpy()))


def _without_traces(archive: bytes) -> bytes:
    # *.debug_pkl holds source paths and lines; the serialization id is different each time.
    output, names = io.BytesIO(), _Renumbering()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            if name.endswith((".debug_pkl", "/.data/serialization_id")):
                continue
            content = source.read(name)
            if name.endswith((".py", "/data.pkl")):
                content = names.apply(content)
            _write_aligned(target, output, names.apply(name.encode()).decode(), content)
    return output.getvalue()


class _Renumbering:
    """Numbers TorchScript's mangled class names from 0.

    PyTorch counts them up over the life of a process, so that a second export of the same weights would differ. In
    data.pkl they stand in GLOBAL opcodes, which end with a line break and so may change their length.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}

    def apply(self, text: bytes) -> bytes:
        return re.sub(rb"___torch_mangle_(\d+)", self._rename, text)

    def _rename(self, match: "re.Match[bytes]") -> bytes:
        return self._known.setdefault(match[1], b"___torch_mangle_%d" % len(self._known))


def _write_aligned(target: zipfile.ZipFile, output: io.BytesIO, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    header = output.tell() + _LOCAL_HEADER + len(name.encode())
    padding = -(header + 4) % _ALIGNMENT
    # An extra field of PyTorch's own kind ("FB") fills the gap.
    info.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
    target.writestr(info, content)
