"""A web server of this machine that hands out a few files, as a model hub does."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from helpers.loopback import loopback_server


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve contents by path, with the headers by which the Hugging Face hub states a file; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            if with_body:
                self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with loopback_server(Handler) as address:
        yield address
