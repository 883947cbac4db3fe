"""LitServe with a bundle's ONNX file: python litserve_program.py MODEL PORT."""

import sys

import litserve
import numpy as np
import onnxruntime


class Api(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request):
        return np.asarray(request["images"], dtype=np.uint8)

    def predict(self, images):
        return self.session.run(["logits", "probabilities"], {"images": images})

    def encode_response(self, outputs):
        return {"logits": outputs[0].tolist(), "probabilities": outputs[1].tolist()}


if __name__ == "__main__":
    litserve.LitServer(Api(), accelerator="cpu").run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False
    )
