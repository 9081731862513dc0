"""What a connection may take its time for, checked once a second (I-12).

Heads, bodies and clients that stop reading have a deadline; so has a connection that is idle or
closing. A stream that is silent gets a comment, so that nobody between us and the client takes it
for dead.
"""

import fcntl
import sys
import termios
from typing import TYPE_CHECKING, Any

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.lane.reading import BODY, HEAD, IDLE
from keyhall.wire import chat_write

if TYPE_CHECKING:
    from keyhall.lane.protocol import Lane


def sweep(lane: "Lane", now: float) -> None:
    """End what has waited too long on this connection."""
    limits = lane.lane_state.deadlines
    if lane.is_done or lane.transport.is_closing():
        _sweep_closing(lane, now)
        return
    if lane.is_write_paused and _is_stuck(lane, now):
        lane.stalled()
        return
    waited = now - lane.since
    if lane.phase == IDLE:
        is_between = lane.cycle is None or lane.cycle.response_complete
        if waited > limits.idle and is_between and lane.active is None:
            lane.close()
    elif lane.phase == HEAD:
        if waited > limits.head and lane.active is None:
            lane.refuse_with(_too_slow("the head took too long"))
    elif lane.phase == BODY:
        _sweep_body(lane, waited - limits.body_grace)
    active = lane.active
    if (
        active is not None
        and active.is_streaming
        and now - lane.wrote_at >= limits.keepalive
        and not lane.is_write_paused
    ):
        active.write(chat_write.KEEPALIVE)


def _sweep_closing(lane: "Lane", now: float) -> None:
    if lane.transport.is_closing():
        if _is_stuck(lane, now):
            lane.transport.abort()
    elif now - lane.since > lane.lane_state.deadlines.linger:
        lane.close()


def _is_stuck(lane: "Lane", now: float) -> bool:
    """Whether the client has taken nothing of what was written for too long. One that is only
    slow may take its time."""
    transport = lane.transport
    unsent = transport.get_write_buffer_size() + in_kernel(transport.get_extra_info("socket"))
    if unsent != lane.unsent_bytes:
        lane.unsent_bytes = unsent
        lane.stuck_since = now
    return now - lane.stuck_since > lane.lane_state.deadlines.stall


def in_kernel(sock: Any) -> int:
    """Bytes that the other side has not acknowledged: the kernel keeps megabytes, so that they show
    a slow reader's progress when nothing of ours moves for minutes."""
    try:
        count = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, AttributeError):
        return 0
    return int.from_bytes(count, sys.byteorder)


def _sweep_body(lane: "Lane", late: float) -> None:
    """`late`: seconds since the grace period ended."""
    if late < 0:
        return
    exchange = lane.parsing
    if exchange is None:
        size = lane.asgi_bytes
    elif lane.is_offered(exchange) and not exchange.wants_body:
        return  # We have not asked for it yet.
    else:
        size = exchange.size
    if size < late * lane.lane_state.deadlines.body_bytes_per_second or not size:
        lane.refuse_with(_too_slow("the body came too slowly"))


def _too_slow(detail: str) -> ApiError:
    return ApiError(errors.BODY_TOO_SLOW, detail=detail)
