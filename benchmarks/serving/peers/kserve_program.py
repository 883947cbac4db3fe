"""KServe's ModelServer with a bundle's ONNX file: python kserve_program.py MODEL --http_port PORT."""

import sys

import kserve
import onnxruntime
from kserve import InferOutput, InferResponse


class Model(kserve.Model):
    def __init__(self, path: str) -> None:
        super().__init__("fashion")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        outputs = self.session.run(["logits", "probabilities"], {"images": payload.inputs[0].as_numpy()})
        named = []
        for name, values in zip(("logits", "probabilities"), outputs, strict=True):
            output = InferOutput(name=name, shape=list(values.shape), datatype="FP32")
            output.set_data_from_numpy(values, binary_data=False)
            named.append(output)
        # Its reader of answers takes no missing id (0.21).
        return InferResponse(response_id=payload.id or "1", model_name="fashion", infer_outputs=named)


if __name__ == "__main__":
    path = sys.argv.pop(1)
    kserve.ModelServer().start([Model(path)])
