"""A stand-in of the Hugging Face Hub: repositories with commits, a token, and files that are resolved and uploaded."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from helpers.loopback import loopback_server

TOKEN = "hf_standin"  # noqa: S105 - of no real hub


@dataclass
class HubState:
    """What the hub holds: by repository a list of commits, each with all its files; the last one is `main`.

    `refuse` answers every request with a status; `private` are repositories that want the token; `lfs` are names of
    files that are uploaded on their own, as large ones are; `broken` are files that it fails at for now; `asked` are
    the requests.
    """

    repositories: dict[str, list[dict[str, bytes]]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    lfs: tuple[str, ...] = ()
    objects: dict[str, bytes] = field(default_factory=dict)
    refuse: int | None = None
    broken: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def names(self, repository: str) -> list[str]:
        """Return the names of a repository's commits."""
        numbers = range(len(self.repositories[repository]))
        return [hashlib.sha256(f"{repository}{number}".encode()).hexdigest()[:40] for number in numbers]

    def commit(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return the name and files of a revision."""
        commits, names = self.repositories[repository], self.names(repository)
        if revision == "main":
            return names[-1], commits[-1]
        return (revision, commits[names.index(revision)]) if revision in names else None


@contextmanager
def hub_server(state: HubState) -> Iterator[str]:
    """Serve until the block ends; yield the address, for `HF_ENDPOINT`."""

    class Handler(_HubHandler):
        hub = state

    with loopback_server(Handler) as address:
        yield address


class _HubHandler(BaseHTTPRequestHandler):
    hub: HubState

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.refuse is not None:
            self._send(self.hub.refuse, b"{}")
        elif path.rpartition("/")[2] in self.hub.broken:
            self._send(501, b"{}")  # which its client does not try again
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.startswith("/objects/"):
            self.hub.objects[path.rpartition("/")[2]] = body
            self._send(200, b"")
        elif path.endswith("/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif path.startswith("/api/models/"):
            self._api(path.split("/")[3:], body)
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/resolve/" in path:
            repository, _, rest = path[1:].partition("/resolve/")
            revision, _, file = rest.partition("/")
            self._resolve(repository, revision, file)
        else:
            self._send(404, b"{}")

    def _known(self, repository: str) -> bool:
        hidden = repository in self.hub.private and not self._has_token()
        if repository not in self.hub.repositories or hidden:
            self._send(401 if not self._has_token() else 404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return False
        return True

    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _create(self, asked: dict[str, Any]) -> None:
        if not self._has_token():
            self._send(401, json.dumps({"error": "Invalid username or password."}).encode())
            return
        repository = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        if asked.get("private") or asked.get("visibility") == "private":
            self.hub.private.add(repository)
        status = 409 if repository in self.hub.repositories else 200
        self.hub.repositories.setdefault(repository, [{".gitattributes": b""}])
        self._json({"url": f"http://{self.headers['Host']}/{repository}"}, status)

    def _api(self, parts: list[str], body: bytes) -> None:
        repository, action = "/".join(parts[:2]), parts[2] if len(parts) > 2 else "revision"
        if not self._known(repository):
            return
        found = self.hub.commit(repository, parts[3] if len(parts) > 3 else "main")
        if found is None:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        commit, files = found
        if action == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = {True: "lfs", False: "regular"}
            self._json({"files": [{"path": name, "uploadMode": modes[name in self.hub.lfs], "shouldIgnore": False,
                                   "oid": None} for name in names]})  # fmt: skip
        elif action == "commit":
            self._commit(repository, files, [json.loads(line) for line in body.splitlines()])
        elif action == "tree":
            self._json([{"type": "file", "path": name, "size": len(content), "oid": "0"} for name, content in
                        files.items()])  # fmt: skip
        else:
            listed = [{"rfilename": name} for name in files]
            self._json({"id": repository, "sha": commit, "siblings": listed, "private": False, "tags": []})

    def _commit(self, repository: str, files: dict[str, bytes], lines: list[dict[str, Any]]) -> None:
        made = dict(files)
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.hub.messages.append(value["summary"])
            elif line["key"] == "file":
                made[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                made[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del made[value["path"]]
        self.hub.repositories[repository].append(made)
        commit = self.hub.commit(repository, "main")
        assert commit is not None
        url = f"http://{self.headers['Host']}/{repository}/commit/{commit[0]}"
        self._json({"success": True, "commitUrl": url, "commitOid": commit[0], "hookOutput": ""})

    def _batch(self, asked: dict[str, Any]) -> None:
        host = self.headers["Host"]
        listed = [
            {**item, "actions": {"upload": {"href": f"http://{host}/objects/{item['oid']}"}}}
            for item in asked["objects"]
        ]
        self._json({"transfer": "basic", "objects": listed})

    def _resolve(self, repository: str, revision: str, name: str) -> None:
        if not self._known(repository):
            return
        found = self.hub.commit(repository, revision)
        if found is None:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
            return
        commit, files = found
        content = files.get(name)
        headers = {"X-Repo-Commit": commit}
        if content is None:
            self._send(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
        else:
            self._send(200, content, {**headers, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    def _json(self, data: object, status: int = 200) -> None:
        self._send(status, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""
