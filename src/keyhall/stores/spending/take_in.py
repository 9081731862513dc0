"""Taking usage in: one transaction that stores a batch, chains it and charges quotas (R23, R24).

Written once as a generator of questions, which each driver asks in its own way: SQLite in a thread,
Postgres on the event loop. The transaction is the driver's; so is how rows are inserted fastest.
A batch that comes again changes nothing: only rows that were not there yet are chained and charged.
"""

import hashlib
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from keyhall.policy import quotas
from keyhall.policy.metering import Usage
from keyhall.policy.quotas import Beyond, Charge, Quota, Reached
from keyhall.ports.store import QuotaUse

Row = Sequence[Any]
Asked = TypeVar("Asked")

USAGE_LOCK = 0x6B680002  # PostgreSQL's advisory lock of batches; the number is ours to choose
NOTHING = bytes(32)  # before a writer's first batch
SIZES = (250, 50, 10, 1)  # rows per statement: few texts, so that each is compiled once


class Ask(msgspec.Struct, frozen=True):
    """A statement with `?` for its values; answered with its rows."""

    sql: str
    values: Sequence[Any] = ()


class Insert(msgspec.Struct, frozen=True):
    """Insert usage rows that are not there yet; answered with those that were not."""

    rows: Sequence[Usage]
    batch: int


Steps = Generator[Ask | Insert, Any, list[QuotaUse]]

_LAST = "SELECT sequence, digest FROM usage_batches WHERE writer = ? ORDER BY sequence DESC LIMIT 1"
_NEW_BATCH = (
    "INSERT INTO usage_batches (writer, sequence, rows, at_us, previous, digest) "
    "VALUES (?, ?, ?, ?, ?, ?) RETURNING number"
)
_CORRECT = "UPDATE usage_batches SET rows = ?, digest = ? WHERE number = ?"
_DROP = "DELETE FROM usage_batches WHERE number = ?"
_ANY_QUOTA = "SELECT 1 FROM quotas LIMIT 1"
_QUOTA = (
    "q.id, q.organization_id, q.scope, q.scope_id, q.resource, q.period, q.amount, q.policy, "
    "q.overage_price, q.thresholds, o.time_zone, q.created_at_us, q.is_operators"
)
# A caller's: of the lineage of its key, its project and its organization.
QUOTAS_OF = (
    f"SELECT {_QUOTA} FROM quotas q JOIN organizations o ON o.id = q.organization_id "  # noqa: S608
    "WHERE q.scope_id IN (?, ?, ?) ORDER BY q.id"
)
_QUOTAS = (
    f"SELECT coalesce(k.id, q.scope_id), {_QUOTA} FROM quotas q "  # noqa: S608
    "JOIN organizations o ON o.id = q.organization_id "
    "LEFT JOIN keys k ON q.scope = 'key' AND k.lineage = q.scope_id "
)
_OF_KEYS = _QUOTAS + "WHERE q.scope = 'key' AND k.id IN ({})"
_OF_OWNERS = _QUOTAS + "WHERE q.scope <> 'key' AND q.scope_id IN ({})"
_END_HOLDS = (
    "DELETE FROM quota_holds WHERE request_id IN ({}) RETURNING quota_id, period_us, amount"
)
_ADD = (
    "INSERT INTO quota_totals (quota_id, period_us, used, held) VALUES {} "
    "ON CONFLICT (quota_id, period_us) DO UPDATE SET used = quota_totals.used + excluded.used, "
    "held = quota_totals.held - excluded.held RETURNING quota_id, period_us, used"
)
_BEYOND = (
    "INSERT INTO overage (request_id, quota_id, organization_id, key_id, period_us, "
    "admitted_at_us, units, price, cost_nano) VALUES {} ON CONFLICT DO NOTHING"
)
_REACHED = (
    "INSERT INTO alerts (quota_id, organization_id, period_us, threshold, used, amount, at_us, "
    "attempts, next_try_us) VALUES {} ON CONFLICT DO NOTHING"
)


def take_in(rows: Sequence[Usage], writer: str) -> Steps:
    """Store a batch of one writer. Gives what each quota that it counts in has used by now."""
    rows = list({row.request_id: row for row in rows}.values())  # A spool may repeat a row.
    at_us = max(row.finished_at_us for row in rows)
    found = yield Ask(_LAST, (writer,))
    sequence, previous = found[0] if found else (0, NOTHING)
    previous = bytes(previous)
    chained = (previous, digest(previous, rows))
    found = yield Ask(_NEW_BATCH, (writer, sequence + 1, len(rows), at_us, *chained))
    number = found[0][0]
    fresh: Sequence[Usage] = yield Insert(rows, number)
    if not fresh:
        yield Ask(_DROP, (number,))
    elif len(fresh) != len(rows):
        yield Ask(_CORRECT, (len(fresh), digest(previous, fresh), number))
    return (yield from _charge(rows, fresh, at_us))


# --- The chain ------------------------------------------------------------------------------------


def digest(previous: bytes, rows: Sequence[Usage]) -> bytes:
    """SHA-256 over the digest before and the rows as MessagePack, in the order of request ids."""
    hasher = hashlib.sha256(previous)
    for row in sorted(rows, key=_request_id):
        hasher.update(msgspec.msgpack.encode(values_of(row)))
    return hasher.digest()


def _request_id(row: Usage) -> str:
    return row.request_id


def values_of(row: Usage) -> list[str | int]:
    """A row's values in the order of `stores.usage.COLUMNS`. Drivers bind exact ints and strings
    quickly, and everything else, subclasses too, through adapters of several microseconds a row."""
    return [
        row.request_id,
        row.key_id,
        row.project_id,
        row.organization_id,
        row.version,
        int(row.endpoint),
        1 if row.is_test else 0,
        1 if row.is_stream else 0,
        row.admitted_at_us,
        row.finished_at_us,
        row.first_byte_us,
        row.input_tokens,
        row.output_tokens,
        row.held_tokens,
        row.output_cap,
        row.cost_nano,
        int(row.outcome),
        int(row.usage_source),
        int(row.on_disconnect),
    ]


# --- Quotas ---------------------------------------------------------------------------------------


def _charge(rows: Sequence[Usage], fresh: Sequence[Usage], at_us: int) -> Steps:
    if not (yield Ask(_ANY_QUOTA)):
        return []
    by_owner: dict[str, list[Quota]] = defaultdict(list)
    keys = sorted({row.key_id for row in rows})
    owners = sorted({owner for row in rows for owner in (row.project_id, row.organization_id)})
    for sql, ids in ((_OF_KEYS, keys), (_OF_OWNERS, owners)):
        for portion in portions(ids):
            for owner, *values in (yield _listed(sql, portion)):
                by_owner[owner].append(quota_of(values))
    if not by_owner:
        return []
    sums = _Sums(quotas.charges(rows, by_owner), {row.request_id for row in fresh})
    ids = sorted(row.request_id for row in rows)
    for portion in portions(ids):
        for quota_id, period_us, amount in (yield _listed(_END_HOLDS, portion)):
            sums.held[quota_id, period_us] += amount
    used: list[QuotaUse] = []
    # In one order everywhere: two batches that lock the same totals never wait for each other.
    for places in portions(sums.places()):
        values = [value for place in places for value in sums.row(place)]
        for quota_id, period_us, after in (yield _rows(_ADD, len(places), values)):
            used.append(QuotaUse(quota_id, period_us, after))
    yield from _tell(sums, used, at_us)
    return used


class _Sums:
    """What a batch adds to each quota and period."""

    def __init__(self, charges: Iterable[Charge], fresh: set[str]) -> None:
        self.charges: dict[tuple[str, int], list[Charge]] = defaultdict(list)
        self.held: dict[tuple[str, int], int] = defaultdict(int)
        for charge in charges:
            place = charge.quota.id, charge.begins_us
            charged = self.charges[place]  # Also where nothing is new: its sum is asked for.
            if charge.usage.request_id in fresh:
                charged.append(charge)

    def places(self) -> list[tuple[str, int]]:
        return sorted({*self.charges, *self.held})

    def units(self, place: tuple[str, int]) -> int:
        return sum(charge.units for charge in self.charges[place])

    def row(self, place: tuple[str, int]) -> tuple[str, int, int, int]:
        return *place, self.units(place), self.held[place]


def _tell(sums: _Sums, used: Sequence[QuotaUse], at_us: int) -> Generator[Ask, Any, None]:
    """Record what lies beyond an amount, and which thresholds were reached."""
    over: list[Beyond] = []
    told: list[Reached] = []
    for use in used:
        charged = sums.charges[use.quota_id, use.begins_us]
        if charged:
            before = use.used - sums.units((use.quota_id, use.begins_us))
            over += quotas.beyond(charged, before)
            told += quotas.reached(charged[0].quota, use.begins_us, before, use.used)
    for beyond in portions(over):
        yield _rows(_BEYOND, len(beyond), [value for each in beyond for value in _over(each)])
    for reached in portions(told):
        values = [value for each in reached for value in _alert(each, at_us)]
        yield _rows(_REACHED, len(reached), values)


def _over(each: Beyond) -> tuple[str | int, ...]:
    usage, quota = each.usage, each.quota
    return (
        usage.request_id,
        quota.id,
        usage.organization_id,
        usage.key_id,
        each.begins_us,
        usage.admitted_at_us,
        each.units,
        quota.overage_price,
        each.cost_nano,
    )


def _alert(each: Reached, at_us: int) -> tuple[str | int, ...]:
    quota = each.quota
    return (
        quota.id,
        quota.organization_id,
        each.begins_us,
        each.threshold,
        each.used,
        quota.amount,
        at_us,
        0,
        at_us,
    )


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def quota_of(row: Row) -> Quota:
    """From the columns of a quota in the order of its fields; the zone as its name."""
    told = msgspec.json.decode(row[9], type=tuple[int, ...])
    return Quota(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], told,
        zone_of(row[10]), row[11], bool(row[12]),
    )  # fmt: skip


# --- Statements -----------------------------------------------------------------------------------


def portions(found: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
    """In portions of SIZES."""
    start = 0
    for size in SIZES:
        while len(found) - start >= size:
            yield found[start : start + size]
            start += size


def _listed(sql: str, values: Sequence[Any]) -> Ask:
    return Ask(_filled(sql, "?", len(values)), values)


def _rows(sql: str, count: int, values: Sequence[Any]) -> Ask:
    row = f"({', '.join('?' * (len(values) // count))})"
    return Ask(_filled(sql, row, count), values)


@lru_cache(maxsize=256)
def _filled(sql: str, place: str, count: int) -> str:
    return sql.format(", ".join([place] * count))
