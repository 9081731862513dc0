"""The task that tells alerts: looks for what is due, claims it, sends it, notes how it ended.

Several processes may do so on one database: a row is claimed before it is sent, and belongs to who
claimed it until its lease ends. It is told at least once: twice only if a process dies between the
receiver's yes and the note of it, and then with the same id. A channel that took it is not tried
again because another failed.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.clock import Clock
from keyhall.config.alerts import Alerts
from keyhall.engines.upstream.address import AddressRefused
from keyhall.flows.alerts.message import Channel, Message, Told, Untold
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.unbroken import unbroken
from keyhall.policy.quotas import FOREVER_US
from keyhall.policy.secrets import Secret
from keyhall.ports.records import Alert
from keyhall.ports.store import StoreAway
from keyhall.stores import organizations
from keyhall.stores.spending import alerts as rows
from keyhall.stores.spending import quotas
from keyhall.stores.sql import SqlStore

LOOK_SECONDS = 2.0
TOGETHER = 10  # alerts that are sent at the same time
LEASE_US = 120_000_000  # longer than every channel's deadline together
# Between two tries; after the last, about a day after the first, nobody is told any more.
WAITS_SECONDS = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800)
# What was reached so long ago, while nothing could be told, is told to nobody.
STALE_US = 7 * 24 * 3_600_000_000

assert sum(WAITS_SECONDS) < 24 * 3_600 <= sum(WAITS_SECONDS) + 3_600


def wait_us(attempts: int) -> int | None:
    """How long to wait after so many failed tries; None: no more."""
    return None if attempts > len(WAITS_SECONDS) else WAITS_SECONDS[attempts - 1] * 1_000_000


def channels_of(settings: Alerts, *, to_owners: bool = False) -> list[Channel]:
    """The ways of telling that are configured; `to_owners`: e-mail also where the messages alone
    say to whom. Raises Invalid for an address never called."""
    found: list[Channel] = []
    try:  # Their HTTP and mail clients are imported only where they are used: 100 ms.
        if settings.webhook_url:
            from keyhall.flows.alerts.webhook import Webhook

            found.append(Webhook(settings.webhook_url, Secret(settings.webhook_secret)))
        if settings.email_to or (to_owners and settings.smtp_url and settings.email_from):
            from keyhall.flows.alerts.mail import Mail

            smtp = Secret(settings.smtp_url)
            found.append(Mail(smtp, settings.email_from, settings.email_to))
    except AddressRefused as error:
        name = "smtp_url" if found or not settings.webhook_url else "webhook_url"
        raise Invalid(f"[alerts] {name}: {error}.") from None
    return found


class Due(Protocol):
    """A row that somebody is to be told of."""

    @property
    def at_us(self) -> int: ...
    @property
    def attempts(self) -> int: ...
    @property
    def trouble(self) -> Mapping[str, str] | None: ...


Row = TypeVar("Row", bound=Due)


class Source(Protocol[Row]):
    """Where rows come from that are told: one table, and the words of its rows."""

    async def due(self, connection: AsyncConnection, now_us: int, limit: int, /) -> list[Row]: ...
    async def claim(self, connection: AsyncConnection, row: Row, until_us: int, /) -> bool: ...

    async def note(
        self,
        connection: AsyncConnection,
        row: Row,
        /,
        *,
        told_at_us: int | None,
        next_try_us: int,
        trouble: Mapping[str, str] | None,
    ) -> None: ...

    async def message_of(self, store: SqlStore, row: Row, /) -> Told: ...


class OfQuotas:
    """`Source` of the thresholds of quotas."""

    due = staticmethod(rows.due)
    claim = staticmethod(rows.claim)
    note = staticmethod(rows.note)

    async def message_of(self, store: SqlStore, row: Alert, /) -> Told:
        return await message_of(store, row)


class Teller(Generic[Row]):
    """Tells what is due until it is cancelled. Owns its channels."""

    def __init__(
        self, store: SqlStore, channels: Sequence[Channel], clock: Clock, source: Source[Row]
    ) -> None:
        self._store = store
        self._channels = channels
        self._clock = clock
        self._source = source
        self._trouble: str | None = None
        self._log = logging.getLogger("keyhall")

    async def run(self) -> None:
        try:
            while True:
                await self._try()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for channel in self._channels:
                await channel.close()

    async def _try(self) -> None:
        """Whatever goes wrong is said once and tried again; the follower says it of the store."""
        try:
            await self.tell_due()
        except StoreAway:
            pass
        except Exception as error:
            if self._trouble != type(error).__name__:
                self._log.error("alerts_not_told", exc_info=error)
            self._trouble = type(error).__name__
        else:
            self._trouble = None

    async def tell_due(self) -> int:
        """Tell what is due now; returns how many were claimed."""
        now_us = self._clock.now_us()
        async with self._store.reading() as connection:
            found = await self._source.due(connection, now_us, TOGETHER)
        if not found:
            return 0
        claimed = await unbroken(self._claimed(found, now_us + LEASE_US))
        await asyncio.gather(*(self._tell(alert, now_us) for alert in claimed))
        return len(claimed)

    async def _claimed(self, found: Sequence[Row], until_us: int) -> list[Row]:
        async with self._store.writing() as connection:
            return [each for each in found if await self._source.claim(connection, each, until_us)]

    async def _tell(self, alert: Row, now_us: int) -> None:
        if alert.attempts == 0 and alert.at_us < now_us - STALE_US:
            stale = {"all": "it was reached a week before anybody could be told"}
            await self._note(alert, stale, FOREVER_US)
            return
        message = await self._source.message_of(self._store, alert)
        left = [
            each for each in self._channels if alert.trouble is None or each.name in alert.trouble
        ]
        trouble = await send(left, message, now_us)
        if not trouble:
            await self._note(alert, None, FOREVER_US, told_at_us=self._clock.now_us())
            self._log.info("alert_told", {"alert": message.id})
            return
        wait = wait_us(alert.attempts + 1)
        facts = {"alert": message.id, "attempts": alert.attempts + 1, "trouble": trouble}
        if wait is None:
            self._log.error("alert_given_up", facts)
            await self._note(alert, trouble, FOREVER_US)
        else:
            self._log.warning("alert_not_told", facts)
            await self._note(alert, trouble, self._clock.now_us() + wait)

    async def _note(
        self,
        alert: Row,
        trouble: dict[str, str] | None,
        next_try_us: int,
        told_at_us: int | None = None,
    ) -> None:
        await unbroken(self._noted(alert, trouble, next_try_us, told_at_us))

    async def _noted(
        self,
        alert: Row,
        trouble: dict[str, str] | None,
        next_try_us: int,
        told_at_us: int | None,
    ) -> None:
        async with self._store.writing() as connection:
            await self._source.note(
                connection,
                alert,
                told_at_us=told_at_us,
                next_try_us=next_try_us,
                trouble=trouble,
            )


async def send(channels: Sequence[Channel], message: Told, now_us: int) -> dict[str, str]:
    """Tell it by all of them at once. What went wrong, by channel."""

    async def one(channel: Channel) -> str | None:
        try:
            await channel.send(message, now_us)
        except Untold as error:
            return str(error)
        return None

    ends = await asyncio.gather(*(one(channel) for channel in channels))
    return {
        channel.name: end for channel, end in zip(channels, ends, strict=True) if end is not None
    }


async def message_of(store: SqlStore, alert: Alert) -> Message:
    async with store.reading() as connection:
        quota = await quotas.find(connection, alert.quota_id)
        names = {} if quota is None else await quotas.owner_names(connection, [quota.scope_id])
        owners = await organizations.find_organization(connection, alert.organization_id)
    name = owners[0].name if owners else alert.organization_id
    return Message(alert, quota, names.get(quota.scope_id, "") if quota else "", name)
