"""A model hub on loopback that speaks as Hugging Face's does, as far as one file is fetched.

Repositories are dictionaries. What a network or a hub can do to a transfer is a field: cut it, turn
it away, send something else. What was asked is kept, for tests that look at the wire.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repo:
    files: dict[str, bytes]
    license: str = "apache-2.0"
    token: str = ""  # without it the repository is not there
    gated: bool = False  # its files are only for those who accepted terms
    says: dict[str, str] = field(default_factory=dict)  # checksums that are not the files' own


@dataclass
class Hub:
    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    cut_after: list[int] = field(default_factory=list)  # bytes of the next bodies, in order
    ranges: bool = True  # False: as if `Range` had not been sent
    status: int = 200  # of everything
    sends_elsewhere: str = ""  # an address to which files are redirected, as to a CDN
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # paths and headers

    def ranges_asked(self) -> list[str]:
        return [head["range"] for _, head in self.asked if "range" in head]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append((path, {name.lower(): value for name, value in self.headers.items()}))
        if hub.status != 200:
            self._send(hub.status, b"{}")
            return
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._tell("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
        elif "resolve" in parts:
            self._give("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._send(404, b"{}")

    def _repo(self, name: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        if repo is None or (repo.token and not self._shows(repo.token)):
            status = 401 if "Authorization" not in self.headers else 404
            self._send(status, b"{}", {"X-Error-Code": "RepoNotFound"})
            return None
        return repo

    def _shows(self, token: str) -> bool:
        return self.headers.get("Authorization") == f"Bearer {token}"

    def _tell(self, name: str, revision: str) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        if revision not in ("main", COMMIT):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = [
            {
                "rfilename": file,
                "size": len(data),
                "lfs": {"size": len(data), "sha256": self._digest(repo, file), "pointerSize": 134},
            }
            for file, data in repo.files.items()
        ]
        told = {
            "id": name,
            "sha": COMMIT,
            "private": False,
            "tags": [],
            "cardData": {"license": repo.license},
            "siblings": siblings,
        }
        self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"})

    @staticmethod
    def _digest(repo: Repo, file: str) -> str:
        return repo.says.get(file) or hashlib.sha256(repo.files[file]).hexdigest()

    def _give(self, name: str, revision: str, file: str) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        if repo.gated:
            self._send(403, b"{}", {"X-Error-Code": "GatedRepo"})
            return
        assert revision == COMMIT, "what was offered is what is fetched"
        if self.hub.sends_elsewhere:
            self._send(302, b"", {"Location": self.hub.sends_elsewhere + self.path})
            return
        data, status, head = repo.files[file], 200, {"Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if asked and self.hub.ranges:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            head["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            data, status = data[begin:], 206
        cut = self.hub.cut_after.pop(0) if self.hub.cut_after else None
        self._send(status, data, head, cut)

    def _send(
        self, status: int, body: bytes, head: dict[str, str] | None = None, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (head or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        self.close_connection = cut is not None


@contextmanager
def a_hub(**repos: Repo) -> Iterator[Hub]:
    """A hub that listens; names of repositories have `__` for their slash."""
    hub = Hub(repos={name.replace("__", "/"): repo for name, repo in repos.items()})
    handler = type("Ours", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
