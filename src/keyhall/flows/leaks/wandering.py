"""Keys that wander: what processes saw is joined in the store, and whoever sees too much flags it.

Each process reports the keys that it saw from new networks, every few seconds, in one transaction:
its sketches are joined with those of others, counted, and compared with what is usual. A flag is an
audit row and a notice to the key's owner, both with the evidence. The key goes on working: that is
for its owner to end.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from itertools import groupby

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.hall import Hall
from keyhall.flows.leaks.watch import Report, Watch
from keyhall.flows.unbroken import unbroken
from keyhall.policy.leaks import wander
from keyhall.policy.leaks.sketch import Sketch
from keyhall.policy.leaks.wander import DAY_US, HOUR_US, USUAL_MILLI
from keyhall.ports.notices import Habits, Wandered
from keyhall.ports.records import Actor
from keyhall.ports.store import StoreAway
from keyhall.stores import keys, notes
from keyhall.stores.leaks import notices, places
from keyhall.stores.sql import SqlStore

REPORT_SECONDS = 5.0
AT_ONCE = 2_000  # keys of one report; what is left comes with the next
FOLDED = "networks_folded_us"  # hours before that one are in what is usual
KEYHALL = Actor("keyhall", "watch")


async def keep(hall: Hall, watch: Watch, store: SqlStore) -> None:
    """Report what is seen until cancelled, and once more at the end."""
    hour_us = 0
    try:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            now_us = hall.clock.now_us()
            if now_us - watch.hour_us >= HOUR_US:
                watch.turn(now_us)
                hall.callers.forget_places()
            await unbroken(report(watch, store, now_us))
            if watch.hour_us != hour_us:
                with contextlib.suppress(StoreAway):  # A few seconds later it is made up for.
                    await unbroken(fold(store, watch.hour_us))
                    hour_us = watch.hour_us
    finally:
        await report(watch, store, hall.clock.now_us())


async def report(watch: Watch, store: SqlStore, now_us: int) -> list[str]:
    """Keep what has changed, and flag who is to be flagged: their ids. Never raises for a store
    that is away: what was seen waits."""
    found = watch.reports(AT_ONCE)
    if not found:
        return []
    for each in found:  # What is seen from here on is of the next report.
        each.places.is_changed = False
    flagged: list[str] = []
    try:
        async with store.writing() as connection:
            for hour_us, group in groupby(found, lambda each: each.hour_us):
                of_hour = {each.key_id: each for each in group}
                flagged += await _joined(connection, watch.rule, hour_us, of_hour, now_us)
    except StoreAway:
        for each in found:
            each.places.is_changed = True
        return []
    return flagged


async def _joined(
    connection: AsyncConnection,
    rule: wander.Rule,
    hour_us: int,
    reports: Mapping[str, Report],
    now_us: int,
) -> list[str]:
    ids = list(reports)
    before = await places.sketches(connection, hour_us, ids)
    changed: dict[str, bytes] = {}
    counts: dict[str, int] = {}
    for key_id, each in reports.items():
        joined = Sketch.decode(before[key_id]) if key_id in before else Sketch()
        if joined.merge(each.places.sketch):
            changed[key_id] = joined.encode()
        counts[key_id] = joined.count()
    await places.keep(connection, hour_us, changed)
    beyond = [key_id for key_id in ids if counts[key_id] > rule.networks_per_hour]
    if not beyond:
        return []
    habits = await places.habits(connection, beyond)
    told = await places.flagged(connection, beyond)
    flagged = []
    for key_id in beyond:
        known = habits.get(key_id, Habits(key_id, USUAL_MILLI, None))
        bound = wander.bound(rule, known.usual_milli, known.expected)
        if counts[key_id] > bound and key_id not in told:
            flagged.append(key_id)
            await _flag(connection, reports[key_id], counts[key_id], bound, known, now_us)
    return flagged


async def _flag(
    connection: AsyncConnection,
    report: Report,
    networks: int,
    bound: int,
    known: Habits,
    now_us: int,
) -> None:
    key = await keys.find(connection, report.key_id)
    if key is None or key.revoked_at_us is not None:
        return
    day_us = report.hour_us - report.hour_us % DAY_US
    today = Sketch()
    for each in await places.of_key(connection, key.id, day_us, report.hour_us):
        today.merge(Sketch.decode(each))
    seen = report.places
    facts = {
        "networks": networks,
        "networks_today": today.count(),
        "bound": bound,
        "usual": round(known.usual_milli / 1_000, 1),
        "first_us": seen.first_us,
        "last_us": seen.last_us,
        "examples": list(seen.examples),
    }
    await notices.add(connection, "wandering", [(key, facts)], now_us)
    after = Wandered(key.organization_id, networks, bound)
    await notes.record(
        connection,
        KEYHALL,
        now_us,
        action="key.wandering",
        target=key.id,
        before=None,
        after=after,
    )


async def fold(store: SqlStore, hour_us: int) -> None:
    """Take the hours before that one into what is usual, each once, whichever process comes first;
    and forget what is older than a day."""
    async with store.writing() as connection:
        since_us = int(await notes.fact(connection, FOLDED) or 0)
        if since_us >= hour_us:
            return
        seen = await places.of_hours(connection, since_us, hour_us)
        habits = await places.habits(connection, list({key_id for _, key_id, _ in seen}))
        await places.keep_habits(connection, _usual(seen, habits))
        await places.sweep(connection, hour_us - DAY_US)
        await notes.set_fact(connection, FOLDED, str(hour_us))


def _usual(
    seen: Sequence[tuple[int, str, bytes]], habits: Mapping[str, Habits]
) -> Sequence[Habits]:
    found = dict(habits)
    for _, key_id, sketch in seen:
        known = found.get(key_id, Habits(key_id, USUAL_MILLI, None))
        usual_milli = wander.usual_after(known.usual_milli, Sketch.decode(sketch).count())
        found[key_id] = Habits(key_id, usual_milli, known.expected)
    return list(found.values())
