"""Redis' protocol (RESP2), as far as we speak it: commands to bytes, bytes to replies. Pure."""

from typing import Any

BULK_BYTES_MAX = 1 << 20  # A window is 2.5 kB; a thousand members are 100 kB.
ITEMS_MAX = 100_000
DEPTH_MAX = 4

_ERROR, _INTEGER, _BULK, _ARRAY, _SIMPLE = b"-:$*+"


class ReplyError(Exception):
    """Redis answered with an error, whose text this is; or with bytes that are no reply."""


class Incomplete(Exception):
    """More bytes have to come first."""


def encode(*parts: bytes | str | int) -> bytes:
    """A whole command."""
    return b"*%d\r\n%b" % (len(parts), arguments(*parts))


def arguments(*parts: bytes | str | int) -> bytes:
    """A piece of a command: its arguments without their number."""
    encoded = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in encoded)


def parse(data: bytes, at: int, depth: int = 0) -> tuple[Any, int]:
    """The reply that begins at `at`, and where the next one does: bytes, int, None, or a list.

    Raises Incomplete, and ReplyError for an error or anything else.
    """
    end = data.find(b"\r\n", at)
    if end < 0:
        if len(data) - at > BULK_BYTES_MAX:
            raise ReplyError("a line without an end")
        raise Incomplete
    kind, text, at = data[at], data[at + 1 : end], end + 2
    if kind == _SIMPLE:
        return text, at
    if kind == _ERROR:
        raise ReplyError(text[:200].decode("ascii", "replace"))
    if kind not in (_INTEGER, _BULK, _ARRAY) or not text.removeprefix(b"-").isdigit():
        raise ReplyError("no reply of Redis")
    number = int(text)
    if kind == _INTEGER:
        return number, at
    if number == -1:
        return None, at
    if kind == _BULK:
        return _bulk(data, at, number)
    if not 0 <= number <= ITEMS_MAX or depth == DEPTH_MAX:
        raise ReplyError("a reply that is too large")
    items = []
    for _ in range(number):
        item, at = parse(data, at, depth + 1)
        items.append(item)
    return items, at


def _bulk(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    stop = at + size
    if not 0 <= size <= BULK_BYTES_MAX:
        raise ReplyError("a reply that is too large")
    if len(data) < stop + 2:
        raise Incomplete
    if data[stop : stop + 2] != b"\r\n":
        raise ReplyError("a reply without an end")
    return data[at:stop], stop + 2
