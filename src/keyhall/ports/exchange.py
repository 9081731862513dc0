"""The exchange port: one request and its answer, as a flow sees them."""

from collections.abc import Sequence
from typing import Protocol


class ClientLeft(Exception):
    """Thrown into a flow when its client has closed the connection."""


class Stalled(Exception):
    """Thrown into a flow when its client has stopped reading for too long."""


class KeyRevoked(Exception):
    """Thrown into a flow whose key was revoked while it ran (R14)."""


class Stopped(Exception):
    """Thrown into a flow that still runs when the grace period of a shutdown is over."""


class Running(Protocol):
    """A request under way, as far as those need to know who may have to end it."""

    request_id: bytes  # 16 bytes
    answered_us: int  # when the answer was about to begin; 0 until it is

    def cut(self, reason: BaseException) -> None:
        """End this request now by throwing `reason` into its flow where it waits."""
        ...


class Exchange(Running, Protocol):
    """One request. `reply`, or `begin_stream`, `write`..., `end_stream`."""

    method: bytes
    path: bytes
    authorization: bytes | None
    content_type: bytes | None
    content_encoding: bytes | None
    hop: bytes | None  # the X-Keyhall-Hop header of another Keyhall's upstream request
    organization: bytes | None  # the OpenAI-Organization header
    project: bytes | None
    review_wait: bytes | None  # the X-Keyhall-Review-Wait header: seconds, as they came
    client_request_id: bytes | None  # as it came: check before it is written anywhere
    signature: bytes | None  # of a report by GitHub, in Base64, and the name of the key it is by
    signature_key: bytes | None
    started_us: int
    known_lines: bytes  # response headers that a refusal carries too: whose key it is, its limits
    has_started: bool  # bytes of the answer have been written

    @property
    def client_ip(self) -> str: ...
    @property
    def is_write_paused(self) -> bool: ...

    @property
    def whole_body(self) -> bytes | None:
        """The body if it has arrived whole and without a problem: spares most requests a wait."""
        ...

    async def body(self, bytes_max: int | None = None) -> bytes:
        """The whole body. Not read beyond 64 KiB before this is called, and if `bytes_max` is given
        not read on unless its length is declared and within that.

        Raises ApiError BODY_TOO_LARGE or BODY_TOO_SLOW; the connection then closes.
        """
        ...

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """The whole answer. `headers` are ready lines, each with its CRLF."""
        ...

    def reply_in_pieces(self, headers: bytes, pieces: Sequence[bytes]) -> None:
        """A 200 whose body is these one after the other: a long one need not be joined first."""
        ...

    def begin_stream(self, headers: bytes) -> None:
        """A 200 whose head goes out with the first `write`, so that until then it can still be
        replaced by an error."""
        ...

    def write(self, data: bytes) -> None: ...

    async def drained(self) -> None:
        """Returns when the client has taken enough of what was written."""
        ...

    def write_last(self, data: bytes) -> None:
        """`write` and `end_stream` in one."""
        ...

    def end_stream(self) -> None: ...
