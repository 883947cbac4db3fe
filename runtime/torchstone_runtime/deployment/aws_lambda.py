"""A function for AWS Lambda: a handler, the bundle beside it, and what to install."""

from typing import Final

from torchstone_runtime.deployment.packaged_model import PackagedModel, bundle_files
from torchstone_runtime.version import __version__

HANDLER_FILE: Final = "handler.py"
_HANDLER: Final = '''\
"""A picture as the body of a request (function URL or HTTP API), its classes back. Handler: handler.handler"""

import base64
import json
from pathlib import Path

import torchstone

classifier = torchstone.load(Path(__file__).with_name("bundle"), mode="latency"{variant})


def handler(event, context):
    """Answer a request; the model was loaded and checked when the function started."""
    body = event.get("body") or ""
    picture = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    try:
        (found,) = classifier.predict([picture])
        status, answer = 200, found.to_dict(5)
    except torchstone.ImageError as error:
        status, answer = 400, {{"error": str(error)}}
    headers = {{"Content-Type": "application/json"}}
    return {{"statusCode": status, "headers": headers, "body": json.dumps(answer)}}
'''


def lambda_files(model: PackagedModel) -> dict[str, bytes]:
    """Return the files of the function's archive; `requirements.txt` names what is installed beside them.

    Raises:
        BundleError: a file of the bundle is missing, altered or not readable.
    """
    handler = _HANDLER.format(variant="" if model.is_default else f", variant={model.variant!r}")
    return {
        HANDLER_FILE: handler.encode(),
        "requirements.txt": f"torchstone[{model.extra}]=={__version__}\n".encode(),
        **bundle_files(model.bundle, "bundle"),
    }
