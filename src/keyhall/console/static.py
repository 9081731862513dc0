"""The files that pages load: ours and the vendored ones, with their digest in the address, so that
a browser may keep them for good; compressed once.
"""

import functools
import gzip
import mimetypes
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

STATIC = Path(__file__).parent / "static"
PREFIX = "/static/"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
_TEXT = (".js", ".css", ".svg", ".json", ".txt", ".webmanifest")
_FOR_GOOD = "public, max-age=31536000, immutable"


class File(NamedTuple):
    body: bytes
    packed: bytes | None  # gzip
    type: str
    digest: str


@functools.cache
def names() -> frozenset[str]:
    """The files there are; nothing else can be asked for, whatever the path says (attack 17)."""
    return frozenset(
        path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()
    )


@functools.cache
def file(name: str) -> File:
    path = STATIC / name
    body = path.read_bytes()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    packed = gzip.compress(body, 9, mtime=0) if path.suffix in _TEXT else None
    return File(body, packed, kind, sha256(body).hexdigest()[:16])


@functools.cache
def address(name: str) -> str:
    return f"{PREFIX}{name}?{file(name).digest}"


async def serve(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in names():
        return PlainTextResponse("There is no such file.\n", 404)
    found = file(name)
    is_current = request.url.query == found.digest
    headers = {
        "cache-control": _FOR_GOOD if is_current else "no-cache",
        "etag": f'"{found.digest}"',
        "vary": "accept-encoding",
        "cross-origin-resource-policy": "same-origin",
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    body = found.body
    if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        body = found.packed
    return Response(body, headers=headers, media_type=found.type)


async def icon(request: Request) -> Response:
    """What browsers ask for by themselves beside answers that are no pages of ours."""
    return Response(file("keyhall.svg").body, media_type=file("keyhall.svg").type)
