"""What a session takes and gives: its types, and a check against what the bundle format says."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import BundleError
from torchstone_runtime.images.input_spec import InputSpec

INPUT: Final = "images"
OUTPUTS: Final = ["logits", "probabilities"]


class RunOptions(Protocol):
    """ONNX Runtime's `RunOptions`, by which another thread can stop a run on the CPU."""

    terminate: bool


class ModelRunner(Protocol):
    """What an `Engine` needs of a session: ONNX Runtime's `InferenceSession` or a `gpu_engine.BoundSession`."""

    def run(
        self,
        output_names: Sequence[str],
        input_feed: Mapping[str, Uint8Array],
        run_options: "RunOptions | None" = None,
        /,
    ) -> Sequence[Any]:
        """Run the model and return an array per output name."""


class TensorInfo(Protocol):
    """Name, type and shape of an input or output; an axis of free length is a name or None."""

    @property
    def name(self) -> str:
        """Name in the graph."""

    @property
    def type(self) -> str:
        """ONNX type, as in `tensor(uint8)`."""

    @property
    def shape(self) -> Sequence[int | str | None]:
        """Length of each axis."""


class OrtSession(ModelRunner, Protocol):
    """ONNX Runtime's `InferenceSession`, which comes without types."""

    def get_inputs(self) -> Sequence[TensorInfo]:
        """Return the inputs in the order of the graph."""

    def get_outputs(self) -> Sequence[TensorInfo]:
        """Return the outputs in the order of the graph."""

    def get_modelmeta(self) -> Any:  # noqa: ANN401 - only its `custom_metadata_map` is used
        """Return the model's metadata."""

    def get_providers(self) -> list[str]:
        """Return the execution providers in use, by ONNX Runtime's names."""

    def io_binding(self) -> Any:  # noqa: ANN401 - ONNX Runtime's `IOBinding`
        """Return a new binding of inputs and outputs to memory."""

    def run_with_iobinding(self, iobinding: Any, run_options: Any = None) -> None:  # noqa: ANN401 - as above
        """Run the model on bound memory."""


def row_shape(tensor: TensorInfo) -> tuple[int, ...]:
    """Return the lengths of all axes but the batch's.

    Raises:
        BundleError: one of them is not fixed.
    """
    lengths = tuple(length for length in tensor.shape[1:] if isinstance(length, int))
    if len(lengths) != len(tensor.shape) - 1:
        raise BundleError(f"'{tensor.name}' has axes of free length: {list(tensor.shape)}.", "Export the bundle again.")
    return lengths


def read_metadata(session: OrtSession) -> dict[str, str]:
    """Return the metadata of a session's model.

    Raises:
        BundleError: it is not UTF-8.
    """
    try:
        return dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError as error:
        raise BundleError(f"The metadata of the ONNX file is not valid UTF-8: {error}.") from error


def check_signature(session: OrtSession, spec: InputSpec, num_classes: int) -> None:
    """Raise unless a session takes `images` and gives `logits` and `probabilities` as the bundle format says.

    Raises:
        BundleError: another name, type or shape.
    """
    try:
        inputs = [(item.name, item.type, list(item.shape[1:])) for item in session.get_inputs()]
        outputs = {item.name: (item.type, list(item.shape[1:])) for item in session.get_outputs()}
    except UnicodeDecodeError as error:
        raise BundleError(f"The model's inputs and outputs have names that are not UTF-8: {error}.") from error
    expected = [(INPUT, "tensor(uint8)", list(spec.shape))]
    if inputs != expected:
        raise BundleError(f"The model's input is {inputs}, expected {expected}.", "Export the bundle again.")
    for name in OUTPUTS:
        if outputs.get(name) != ("tensor(float)", [num_classes]):
            raise BundleError(f"The model's output '{name}' is {outputs.get(name)}.", "Export the bundle again.")
