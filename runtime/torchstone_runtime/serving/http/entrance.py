"""The first look at a request, at its headers alone: is there any room at the model that it asks?

A server that is asked for more than it can do must spend its time on answers. A refusal that comes after routes, body
and parser costs as much as an answer, and then refusing alone keeps the server busy; this one costs a tenth.
"""

from collections import Counter
from typing import Final
from urllib.parse import parse_qsl

from torchstone_runtime.errors import TorchstoneError
from torchstone_runtime.protocol.path_name import decoded
from torchstone_runtime.serving.core.served_model import ServedModel
from torchstone_runtime.serving.http.access_log import AccessLog
from torchstone_runtime.serving.http.request_record import RequestRecord
from torchstone_runtime.serving.http.shared_state import Site

_MODELS: Final = b"/v2/models/"
_INFER: Final = b"/infer"
_PREDICT: Final = b"/predict"
Headers = list[tuple[bytes, bytes]]


class Entrance:
    """Knows which model a request asks, and refuses requests with a ready answer.

    Args:
        site: models and settings.
        answered: counter of answers by model, variant and status.
        log: access log.
    """

    def __init__(self, site: Site, answered: Counter[tuple[str, str, int]], log: AccessLog) -> None:
        self._site = site
        self._answered = answered
        self._log = log

    def asked(self, method: bytes, url: bytes) -> ServedModel | None:
        """Return the model that a request asks; None where it asks none, or one that isn't there.

        Args:
            method: method in capitals.
            url: path and query as they came.
        """
        if method != b"POST":
            return None
        path, _, query = url.partition(b"?")
        try:
            if path.startswith(_MODELS) and path.endswith(_INFER):
                parts = path[len(_MODELS) : -len(_INFER)].decode("latin-1").split("/")
                if len(parts) == 1:
                    return self._site.repository.get(decoded(parts[0]))
                if len(parts) == 3 and parts[1] == "versions":  # noqa: PLR2004 - name, "versions", version
                    return self._site.repository.get(decoded(parts[0]), decoded(parts[2]))
            elif path == _PREDICT:
                asked = dict(parse_qsl(query.decode("latin-1")))
                return self._site.repository.get(asked.get("model") or self._site.default_model(), asked.get("version"))
        except (TorchstoneError, ValueError):  # the route says what is wrong
            return None
        return None

    def refuse(self, model: ServedModel, url: bytes, headers: Headers) -> bytes:
        """Note the refusal of a request, and return its headers and body, without the status line.

        Args:
            model: model that is asked.
            url: path and query as they came.
            headers: headers with lower-case names.
        """
        error = model.refuse()
        record = RequestRecord.of(headers)
        record.note_model(model)
        record.status = 503
        self._answered[record.model, record.variant, 503] += 1
        self._log.add(record, "POST", url.partition(b"?")[0].decode("latin-1"), 0.0)
        body = b'{"error": "%s"}' % " ".join(filter(None, (error.problem, error.remedy))).encode()
        trace = b"traceparent: %s\r\n" % record.trace_parent.encode() if record.trace_parent else b""
        return (
            b"content-type: application/json\r\ncontent-length: %d\r\nretry-after: %d\r\nx-request-id: %s\r\n%s\r\n%s"
            % (
                len(body),
                error.retry_after_seconds,
                record.request_id.encode(),
                trace,
                body,
            )
        )
