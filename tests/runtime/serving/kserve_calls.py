"""Calls of KServe's own client, run by test_other_clients.py: `kserve_calls.py ADDRESS GOLDEN.npz`.

`kserve` as a whole needs 60 packages; its client a handful. So the package's `__init__`, which imports its servers and
Kubernetes, is passed over, and two imports that the client never uses are answered by others: FastAPI's response
classes, which are Starlette's, and pandas.
"""

import asyncio
import importlib.util
import sys
import types

import numpy as np
import starlette.responses

from torchstone_runtime.arrays import Float32Array, Uint8Array


def pass_over_the_servers() -> None:
    """Make `kserve` a package whose `__init__` has run."""
    spec = importlib.util.find_spec("kserve")
    assert spec is not None
    kserve = types.ModuleType("kserve")
    kserve.__path__ = list(spec.submodule_search_locations or ())
    fastapi, pandas = types.ModuleType("fastapi"), types.ModuleType("pandas")
    vars(pandas).update(DataFrame=object, Series=object)  # for annotations
    sys.modules |= {"kserve": kserve, "fastapi": fastapi, "pandas": pandas, "fastapi.responses": starlette.responses}


async def ask(address: str, images: Uint8Array, logits: Float32Array) -> None:
    """Make every call that a classifier can answer."""
    from kserve.inference_client import InferenceRESTClient, RESTConfig
    from kserve.protocol.infer_type import InferInput, InferRequest, RequestedOutput

    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(address)
    assert await client.is_server_ready(address)
    assert await client.is_model_ready(address, "m")
    for binary in (True, False):
        for wanted in (True, False):
            given = InferInput("images", list(images.shape), "UINT8")
            given.set_data_from_numpy(images, binary_data=binary)
            outputs = [RequestedOutput(name, {"binary_data": wanted}) for name in ("logits", "probabilities")]
            request = InferRequest("m", [given], request_id="seven", request_outputs=outputs)
            answer = await client.infer(address, request, model_name="m")
            assert answer.id == "seven"
            np.testing.assert_allclose(answer.outputs[0].as_numpy(), logits, atol=1e-4)
    await client.close()
    sys.stdout.write("all answered\n")


if __name__ == "__main__":
    pass_over_the_servers()
    with np.load(sys.argv[2]) as golden:
        asyncio.run(ask(f"http://{sys.argv[1]}", golden["images"][:3], golden["logits"][:3]))
