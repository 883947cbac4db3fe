"""BentoML with a bundle's ONNX file, named by MODEL in the environment: bentoml serve bentoml_program:Service."""

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class Service:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = os.environ["MODEL"]
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @bentoml.api
    def classify(self, images: list) -> dict:
        outputs = self.session.run(["logits", "probabilities"], {"images": np.asarray(images, dtype=np.uint8)})
        return {"logits": outputs[0].tolist(), "probabilities": outputs[1].tolist()}
