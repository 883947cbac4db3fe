"""An MLServer runtime with a bundle's ONNX file, named by MODEL in the environment; `servers.py` has its settings."""

import os

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Runtime(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = os.environ["MODEL"]
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload):
        images = NumpyCodec.decode_input(payload.inputs[0]).astype(np.uint8)
        outputs = self.session.run(["logits", "probabilities"], {"images": images})
        named = [NumpyCodec.encode_output(n, v) for n, v in zip(("logits", "probabilities"), outputs, strict=True)]
        return InferenceResponse(model_name=self.name, outputs=named)
