"""An ONNX file that takes or gives numbers of 16 bits, in the form in which the bundle's own nodes meet it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from onnx import ModelProto, NodeProto, TensorProto, TensorShapeProto, ValueInfoProto, helper

from torchstone_export.foreign.model_spec import Layout

_HALVES: Final = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})
_SUFFIX: Final = "/float32"


@dataclass(frozen=True, eq=False, slots=True)
class Float32Form:
    """A file, and the names of the input and the output by which it takes and gives float32.

    Attributes:
        model: content of the file.
        input_name: name of the input for the images; output_name: name of the class outputs.
        layout: order of the axes of the images that it takes.
    """

    model: ModelProto
    input_name: str
    output_name: str
    layout: Layout


def in_float32(model: ModelProto, input_name: str, output_name: str, layout: Layout) -> Float32Form:
    """Return a file that casts its input from float32 and its class outputs to float32, where they have 16 bits.

    Such an input is NCHW, and turned to the file's own layout as in the bundle, so that the same casts fall away.

    On a CPU ONNX Runtime computes float16 in float32, and leaves out the rounding to float16 between two nodes: so it
    does where the bundle's own nodes stand before and after. Given and read as float16 the file would round there, and
    a bundle that is more exact would differ from it.
    """
    given, gives = _type_of(model.graph.input, input_name), _type_of(model.graph.output, output_name)
    if given not in _HALVES and gives not in _HALVES:
        return Float32Form(model, input_name, output_name, layout)
    changed = ModelProto()
    changed.CopyFrom(model)
    taken, result = input_name, output_name
    if given in _HALVES:
        taken = input_name + _SUFFIX
        value = next(item for item in changed.graph.input if item.name == input_name)
        value.name, value.type.tensor_type.elem_type = taken, TensorProto.FLOAT
        turned = taken
        if layout == "NHWC":
            _move_channels_first(value)
            turned, layout = f"{taken}/turned", "NCHW"
            changed.graph.node.insert(0, helper.make_node("Transpose", [taken], [turned], perm=[0, 2, 3, 1]))
        changed.graph.node.insert(int(turned != taken), _cast(turned, input_name, given))
    if gives in _HALVES:
        result = output_name + _SUFFIX
        changed.graph.node.append(_cast(output_name, result, TensorProto.FLOAT))
        # Not beside the file's own output: what is given out is rounded.
        del changed.graph.output[:]
        changed.graph.output.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, None))
    return Float32Form(changed, taken, result, layout)


def _cast(source: str, target: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], to=kind)


def _move_channels_first(value: ValueInfoProto) -> None:
    dims = value.type.tensor_type.shape.dim
    order = [TensorShapeProto.Dimension.FromString(dim.SerializeToString()) for dim in dims]
    if order:
        del dims[:]
        dims.extend([order[0], order[3], order[1], order[2]])


def _type_of(values: Iterable[ValueInfoProto], name: str) -> int:
    return next((int(item.type.tensor_type.elem_type) for item in values if item.name == name), 0)
