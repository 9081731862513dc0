"""Levels for people to look at: the windows as Redis keeps them, read and left as they are. And the
leases by which Redis knows what is in flight."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from struct import Struct
from typing import Any

from keyhall.counters.redis import mirror, resp
from keyhall.counters.redis.connection import Away, Connection
from keyhall.counters.redis.link import Link
from keyhall.counters.redis.mirror import RedisPlan
from keyhall.policy.holders.levels import EMPTY, Level, level_of
from keyhall.policy.limits import WindowLimits
from keyhall.policy.window import Window

HEADER_BYTES = 72
_LEASE = Struct("<dd")


async def read(
    link: Link, own: Mapping[str, Window], windows: Sequence[WindowLimits], now_us: int
) -> list[Level]:
    """Of all processes; without Redis, of this one (`own`)."""
    await link.first_decided()
    connection = link.connection
    if windows and link.mode == "shared" and connection is not None:
        try:
            return await _shared(connection, windows, now_us)
        except Away:
            pass
    found = (own.get(each.id) for each in windows)
    return [EMPTY if window is None else level_of(window, now_us) for window in found]


async def _shared(
    connection: Connection, windows: Sequence[WindowLimits], now_us: int
) -> list[Level]:
    found = []
    for each in windows:
        key = mirror.window_key(each)
        blob = await connection.call(resp.encode("GET", key))
        open_holds = None
        if each.limits.in_flight is not None:
            leases = await connection.call(resp.encode("HGETALL", f"{key}:open"))
            open_holds = _open(leases, now_us)
        whole = isinstance(blob, bytes) and len(blob) >= HEADER_BYTES
        window = mirror.read_window(blob, open_holds) if whole else Window()
        found.append(level_of(window, now_us))
    return found


def leases(plans: Iterable[RedisPlan], name: str, until_us: int) -> Iterator[bytes]:
    """Commands that renew one lease per window and process, of requests that are open for long."""
    for plan in plans:
        for key, window in plan.leases:
            if window.open_holds():
                lease = _LEASE.pack(window.open_holds() + window.asking, until_us)
                yield resp.encode("HSET", key, name, lease)
                yield resp.encode("PEXPIRE", key, 62_000)


def _open(leases: list[Any], now_us: int) -> int:
    """Requests in flight, of processes that live."""
    counted = map(_LEASE.unpack, leases[1::2])
    return int(sum(number for number, until_us in counted if until_us > now_us))
