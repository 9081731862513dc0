"""Decisions told by webhook: signed, tried again for a day, and with the same id each time.

The form is that of Standard Webhooks, as for alerts: a receiver checks the signature, refuses what
is older than five minutes, and knows by the id what it has had already. What is told is who decided
what and when, and never a word of prompt, answer or note. The address is the operator's to name
(R9); the secret is derived from the pepper for each project, and stands nowhere.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from keyhall.clock import Clock
from keyhall.engines.upstream.address import AddressRefused
from keyhall.flows.alerts.message import Untold
from keyhall.flows.alerts.tell import LEASE_US, LOOK_SECONDS, TOGETHER, wait_us
from keyhall.flows.unbroken import unbroken
from keyhall.policy.quotas import FOREVER_US
from keyhall.policy.secrets import Secret
from keyhall.ports.review import Call, Item, Made
from keyhall.ports.store import StoreAway
from keyhall.stores import organizations
from keyhall.stores.review import calls as rows
from keyhall.stores.sql import SqlStore

TYPE = "review.decided"

_log = logging.getLogger("keyhall")


def secret_of(pepper: bytes, project_id: str) -> Secret:
    """What a project's calls are signed with, as receivers are given it: `whsec_…`."""
    key = hmac.digest(pepper, f"review webhook {project_id}".encode(), hashlib.sha256)
    return Secret("whsec_" + base64.b64encode(key).decode())


def body_of(item: Item, reviews: Sequence[Made]) -> str:
    """JSON, as it is stored and sent."""
    data = {
        "id": item.id,
        "completion_id": f"chatcmpl-{item.request_id}",
        "project": item.project_id,
        "organization": item.organization_id,
        "model": item.version,
        "reasons": item.reasons,
        "held": item.is_held,
        "outcome": item.outcome,
        "expired": item.state == "expired",
        "decided_at": _stamp(item.decided_at_us or 0),
        "reviews": [
            {
                "by": each.who,
                "decision": each.decision,
                "score": each.score,
                "at": _stamp(each.at_us),
            }
            for each in reviews
        ],
    }
    said = {"type": TYPE, "timestamp": _stamp(item.decided_at_us or 0), "data": data}
    return msgspec.json.encode(said).decode()


def _stamp(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Note:
    """A call as the sender takes it."""

    id: str
    body: bytes


class Caller:
    """Tells what is due until it is cancelled."""

    def __init__(self, store: SqlStore, pepper: bytes, clock: Clock) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock

    async def run(self) -> None:
        while True:
            try:
                await self.tell_due()
            except StoreAway:
                pass  # The follower says so.
            except Exception as error:
                _log.error("decisions_not_told", exc_info=error)
            await asyncio.sleep(LOOK_SECONDS)

    async def tell_due(self) -> int:
        """Tell what is due now; returns how many calls were claimed."""
        now_us = self._clock.now_us()
        async with self._store.reading() as connection:
            found = await rows.due(connection, now_us, TOGETHER)
        if not found:
            return 0
        claimed = await unbroken(self._claimed(found, now_us + LEASE_US))
        await asyncio.gather(*(self._tell(call, now_us) for call in claimed))
        return len(claimed)

    async def _claimed(self, found: Sequence[Call], until_us: int) -> list[Call]:
        async with self._store.writing() as connection:
            return [call for call in found if await rows.claim(connection, call, until_us)]

    async def _tell(self, call: Call, now_us: int) -> None:
        async with self._store.reading() as connection:
            project = (await organizations.find_project(connection, call.project_id))[0]
        trouble = await send(
            project.review.webhook, secret_of(self._pepper, project.id), call, now_us
        )
        after_us = self._clock.now_us()
        if trouble is None:
            _log.info("decision_told", {"call": call.id})
            await self._note(call, None, FOREVER_US, after_us)
            return
        wait = wait_us(call.attempts + 1)
        facts = {"call": call.id, "attempts": call.attempts + 1, "trouble": trouble}
        if wait is None or not project.review.webhook:
            _log.error("decision_given_up", facts)
            await self._note(call, trouble, FOREVER_US, None)
        else:
            _log.warning("decision_not_told", facts)
            await self._note(call, trouble, after_us + wait, None)

    async def _note(
        self, call: Call, trouble: str | None, next_try_us: int, told_at_us: int | None
    ) -> None:
        async def noted() -> None:
            async with self._store.writing() as connection:
                await rows.note(
                    connection,
                    call,
                    told_at_us=told_at_us,
                    next_try_us=next_try_us,
                    trouble=trouble,
                )

        await unbroken(noted())


async def send(url: str, secret: Secret, call: Call, now_us: int) -> str | None:
    """One try; what went wrong, if anything did."""
    if not url:
        return "the project has no address for it any more"
    from keyhall.flows.alerts.webhook import Webhook  # Its HTTP client takes 100 ms to import.

    try:
        webhook = Webhook(url, secret)
    except AddressRefused as error:
        return str(error)
    try:
        await webhook.send(Note(call.id, call.body.encode()), now_us)
    except Untold as error:
        return str(error)
    finally:
        await webhook.close()
    return None
