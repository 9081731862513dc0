"""Reads request heads: the headers that the lane knows, and what makes a message ambiguous.

llhttp refuses most bad framing (two lengths, a length beside chunks, folded lines, control
characters). What it lets pass and another server might read differently is refused here: transfer
codings other than a plain `chunked`, missing or several hosts, versions that are neither 1.0 nor
1.1.
"""

from typing import Any

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.lane.exchange import LaneExchange

NO_LENGTH = -1
UPGRADE = -2  # instead of a length: the head offers another protocol

_AUTHORIZATION, _FORWARDED, _TYPE = "authorization", "forwarded_for", "content_type"
_HOST, _LENGTH, _CODING = "host", "length", "coding"
_EXPECT, _UPGRADE, _API_KEY = "expect", "upgrade", "api_key"
# Headers that the lane reads; those not treated below are attributes of the exchange.
_NAMES = {
    b"authorization": _AUTHORIZATION,
    b"content-type": _TYPE,
    b"content-encoding": "content_encoding",
    b"openai-organization": "organization",
    b"openai-project": "project",
    b"x-client-request-id": "client_request_id",
    b"x-forwarded-for": _FORWARDED,
    b"x-keyhall-hop": "hop",
    b"github-public-key-signature": "signature",
    b"github-public-key-identifier": "signature_key",
    b"x-keyhall-review-wait": "review_wait",
    b"host": _HOST,
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"expect": _EXPECT,
    b"upgrade": _UPGRADE,
    b"api-key": _API_KEY,
}
# Spelling -> what it is, None for a header that the lane does not read. Clients spell a few dozen
# headers in a few ways: a look-up is cheaper than lowering each name again.
_SPELLINGS: dict[bytes, str | None] = {}
_SPELLINGS_MAX = 1024
_SPELLING_BYTES_MAX = 64

Headers = list[tuple[bytes, bytes]]


def _learn(spelling: bytes) -> str | None:
    name = _NAMES.get(spelling.lower())
    if len(_SPELLINGS) < _SPELLINGS_MAX and len(spelling) <= _SPELLING_BYTES_MAX:
        _SPELLINGS[spelling] = name
    return name


def read(headers: Headers, parser: Any, exchange: LaneExchange) -> int:
    """Note the headers that matter and what is wrong with them; the declared length, NO_LENGTH, or
    UPGRADE, which says that the message will be read again."""
    length = NO_LENGTH
    hosts = credentials = 0
    others: list[tuple[str, bytes]] = []
    for spelling, value in headers:
        try:
            name = _SPELLINGS[spelling]
        except KeyError:
            name = _learn(spelling)
        if name is None:
            continue
        if name == _HOST:
            hosts += 1
        elif name == _LENGTH:
            length = int(value)
        elif name == _TYPE:
            exchange.content_type = value
        elif name == _AUTHORIZATION:
            exchange.authorization = value
            credentials += 1
        else:
            others.append((name, value))
    version: str = parser.get_http_version()
    if others or hosts != 1 or credentials > 1 or version != "1.1":
        coding = _note(others, exchange)
        if version == "1.0":
            exchange.is_http10 = True
            exchange.keep_alive = exchange.expects_continue = False
        detail = _ambiguity(version, hosts, credentials, coding)
        if detail is not None:
            exchange.problem = broken(detail)
        elif parser.should_upgrade() and exchange.method != b"CONNECT":
            return UPGRADE
    return length


def _note(headers: list[tuple[str, bytes]], exchange: LaneExchange) -> bytes | None:
    """The headers that few requests have; returns the transfer codings."""
    coding = None
    for name, value in headers:
        if name == _CODING:
            coding = value if coding is None else b"%b,%b" % (coding, value)
        elif name == _FORWARDED:
            earlier = exchange.forwarded_for
            exchange.forwarded_for = value if earlier is None else b"%b,%b" % (earlier, value)
        elif name == _EXPECT:
            exchange.expects_continue = value.lower() == b"100-continue"
        elif name == _API_KEY:  # As Azure's clients send it.
            if exchange.authorization is None:
                exchange.authorization = b"Bearer " + value
        elif name != _UPGRADE:
            setattr(exchange, name, value)
    return coding


def ambiguity(target: bytes, headers: Headers, parser: Any) -> str | None:
    """The same strictness for a head that the lane does not answer: what is wrong, or None."""
    if not target.startswith(b"/") or parser.get_method() == b"CONNECT":
        return "the target must be a path"
    names = [name.lower() for name, _ in headers]
    codings = [value for name, value in headers if name.lower() == b"transfer-encoding"]
    return _ambiguity(
        parser.get_http_version(),
        names.count(b"host"),
        names.count(b"authorization"),
        b",".join(codings) if codings else None,
    )


def _ambiguity(version: str, hosts: int, credentials: int, coding: bytes | None) -> str | None:
    if version not in ("1.1", "1.0"):
        return "only HTTP/1.1 and HTTP/1.0 are spoken here"
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return "exactly one Host header is required"
    if coding is not None and (coding.strip().lower() != b"chunked" or version == "1.0"):
        return "the only transfer coding is chunked, once, in HTTP/1.1"
    if credentials > 1:
        return "two Authorization headers"
    return None


def broken(detail: str) -> ApiError:
    return ApiError(errors.BROKEN_HTTP, detail=detail)


def size_of(target: bytes, headers: Headers) -> int:
    """The bytes of a head, nearly."""
    return len(target) + sum([len(name) + len(value) + 4 for name, value in headers])


def without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """The same head as bytes, without its offer to speak another protocol. A server may ignore
    that (RFC 9110, 7.8), and must, for Java's client offers HTTP/2 in every request; but llhttp
    takes everything behind such a head for the other protocol."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    for name, value in headers:
        if name.lower() == b"connection":
            kept = [part for part in value.split(b",") if part.strip().lower() != b"upgrade"]
            value = b",".join(kept).strip()
        elif name.lower() in (b"upgrade", b"http2-settings"):
            continue
        lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"
