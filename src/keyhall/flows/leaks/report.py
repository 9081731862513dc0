"""`POST /v1/keyhall/leaks`: whoever shows a key has it revoked.

Open to everybody, so all that costs is bounded before it is paid: reports by place and in all, then
the body by its length, then the signature, then the look-ups. Nothing of a report is logged. The
answer tells a reporter of each key whether it is revoked or none of this server's, which whoever
has a key could find out by using it.
"""

import asyncio
from collections.abc import Sequence

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.admit import require_json
from keyhall.flows.hall import Hall
from keyhall.flows.leaks.desk import Leaks
from keyhall.flows.leaks.revoke_leaked import Ended, Where, revoke_leaked
from keyhall.ports.exchange import Exchange
from keyhall.ports.records import Actor
from keyhall.ports.store import StoreAway
from keyhall.wire.headers import retry_headers
from keyhall.wire.leaks import reports


async def take_report(exchange: Exchange, hall: Hall) -> None:
    desk = hall.leaks
    if desk is None:
        raise ApiError(errors.LEAK_REPORTS_OFF)
    ip = exchange.client_ip
    is_signed = exchange.signature is not None or exchange.signature_key is not None
    wait_us = await desk.slowing.wait_us(ip, exchange.started_us, hall, is_signed=is_signed)
    if wait_us:
        raise ApiError(errors.LEAK_REPORTS_MANY, headers=retry_headers(wait_us))
    require_json(exchange)
    body = await exchange.body(reports.BYTES_MAX)
    if is_signed:
        await _require_signature(exchange, desk, body)
        desk.slowing.give_back(ip)
        matches = reports.read_github(body)
        seen = [
            (match.token, Where(match.url or "", match.source or "", "github")) for match in matches
        ]
        ended = await _end(seen, Actor("github", f"leak report {ip}"), hall, desk)
        answer = reports.encode_github(matches, frozenset(ended.keys))
    else:
        report = reports.read(body)
        where = Where(report.url or "", report.source or "", "anyone")
        seen = [(text.strip(), where) for text in report.keys]
        ended = await _end(seen, Actor("anyone", f"leak report {ip}"), hall, desk)
        answer = reports.encode([(text, ended.states[text]) for text, _ in seen])
    exchange.reply(200, b"", answer)


async def _require_signature(exchange: Exchange, desk: Leaks, body: bytes) -> None:
    identifier = (exchange.signature_key or b"").decode("latin-1")
    # A task of its own: an address may have to be asked, and a client that leaves must not cancel
    # that for others.
    asked = desk.github.trusts(identifier, exchange.signature or b"", body)
    why = await asyncio.shield(asyncio.get_running_loop().create_task(asked))
    if why is not None:
        raise ApiError(errors.LEAK_SIGNATURE_REFUSED, detail=why)


async def _end(seen: Sequence[tuple[str, Where]], actor: Actor, hall: Hall, desk: Leaks) -> Ended:
    """Revoke them; the store's driver wants a task, and a reporter who leaves has reported."""
    task = asyncio.get_running_loop().create_task(_ended(seen, actor, hall, desk))
    try:
        return await asyncio.shield(task)
    except StoreAway:
        raise ApiError(errors.STORE_AWAY, headers=((b"retry-after", b"1"),)) from None


async def _ended(seen: Sequence[tuple[str, Where]], actor: Actor, hall: Hall, desk: Leaks) -> Ended:
    ended = await revoke_leaked(
        desk.store,
        seen,
        hall.callers.digests,
        with_test=desk.with_test,
        actor=actor,
        now_us=hall.clock.now_us(),
    )
    for key_id in ended.revoked:  # Here at once; other processes follow within a second.
        await hall.callers.key_changed(key_id)
    return ended
