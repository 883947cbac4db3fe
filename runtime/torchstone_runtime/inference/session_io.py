"""What a session takes and gives, compared with what the bundle format says."""

from typing import Any

from torchstone_runtime.errors import BundleError
from torchstone_runtime.images.input_spec import InputSpec


def read_metadata(session: Any) -> dict[str, str]:  # noqa: ANN401 - onnxruntime ships no types
    """Return the metadata of a session's model.

    Raises:
        BundleError: it is not UTF-8.
    """
    try:
        return dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError as error:
        raise BundleError(f"The metadata of the ONNX file is not valid UTF-8: {error}.") from error


def check_signature(session: Any, spec: InputSpec, num_classes: int) -> None:  # noqa: ANN401
    """Raise unless a session takes `images` and gives `logits` and `probabilities` as the bundle format says.

    Raises:
        BundleError: another name, type or shape.
    """
    try:
        inputs = [(item.name, item.type, list(item.shape[1:])) for item in session.get_inputs()]
        outputs = {item.name: (item.type, list(item.shape[1:])) for item in session.get_outputs()}
    except UnicodeDecodeError as error:
        raise BundleError(f"The model's inputs and outputs have names that are not UTF-8: {error}.") from error
    expected = [("images", "tensor(uint8)", list(spec.shape))]
    if inputs != expected:
        raise BundleError(f"The model's input is {inputs}, expected {expected}.", "Export the bundle again.")
    for name in ("logits", "probabilities"):
        if outputs.get(name) != ("tensor(float)", [num_classes]):
            raise BundleError(f"The model's output '{name}' is {outputs.get(name)}.", "Export the bundle again.")
