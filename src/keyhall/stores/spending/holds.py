"""Holds of quotas in the database, for processes that share one (R23, I-6).

Each hold is a row with its owner, and the sum of a quota's rows stands beside what is used: one
guarded statement per quota takes it or does not, so used and held never pass the amount whatever
others do at the same moment. Written as questions, as `take_in` is; the transaction is the driver's
and is rolled back where `None` does not come out.
"""

import hashlib
from collections.abc import Generator, Sequence
from typing import Any

from keyhall.ports.quotas import Held, Line, Short
from keyhall.stores.spending.take_in import Ask

# Only where the quota is there and its days still begin as whoever asks believes: else what is held
# would stand beside a sum that nothing is charged to.
_TAKE = (
    "INSERT INTO quota_totals (quota_id, period_us, used, held) "
    "SELECT q.id, ?, 0, ? FROM quotas q JOIN organizations o ON o.id = q.organization_id "
    "WHERE q.id = ? AND o.time_zone = ? "
    "ON CONFLICT (quota_id, period_us) DO UPDATE SET held = quota_totals.held + excluded.held "
    "WHERE quota_totals.used + quota_totals.held + excluded.held <= ? RETURNING used"
)
_NOTE = (
    "INSERT INTO quota_holds (request_id, quota_id, period_us, amount, writer, admitted_at_us, "
    "opening) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_STANDING = "SELECT used, held FROM quota_totals WHERE quota_id = ? AND period_us = ?"
_END = "DELETE FROM quota_holds WHERE request_id = ? RETURNING quota_id, period_us, amount"
_END_OF = (
    "DELETE FROM quota_holds WHERE writer = ? AND request_id IN "
    "(SELECT request_id FROM quota_holds WHERE writer = ? LIMIT 1000) "
    "RETURNING quota_id, period_us, amount"
)
_GIVE_BACK = "UPDATE quota_totals SET held = held - ? WHERE quota_id = ? AND period_us = ?"


def lock_number(identity: str) -> int:
    """The number of PostgreSQL's advisory lock of a request, a writer or an organization."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big", signed=True)


def take(held: Held, lines: Sequence[Line]) -> Generator[Ask, Any, Short | None]:
    """Hold all lines, or say which one does not fit: then nothing of it may be committed."""
    for line in sorted(lines, key=_place):  # In one order everywhere: nobody waits in a circle.
        amount, quota = line.amount, line.quota
        if amount <= quota.amount:
            values = (line.begins_us, amount, quota.id, str(quota.zone), quota.amount)
            if (yield Ask(_TAKE, values)):
                continue
        found = yield Ask(_STANDING, (quota.id, line.begins_us))
        used, in_hold = found[0] if found else (0, 0)
        return Short(line, used, in_hold)
    for line in lines:
        note = (
            held.request_id, line.quota.id, line.begins_us, line.amount,
            held.writer, held.admitted_at_us, held.opening,
        )  # fmt: skip
        yield Ask(_NOTE, note)
    return None


def end(request_ids: Sequence[str]) -> Generator[Ask, Any, int]:
    """Give back what these requests hold; how many holds that were. Repeatable."""
    found: list[Sequence[Any]] = []
    for request_id in sorted(request_ids):
        found += yield Ask(_END, (request_id,))
    yield from _give_back(found)  # Sums last and in order: whoever holds never waits in a circle.
    return len(found)


def end_of(writer: str) -> Generator[Ask, Any, int]:
    """Give back what a process that is gone still holds: its journal was adopted, and what was in
    there is on record. How many holds that were."""
    count = 0
    while found := (yield Ask(_END_OF, (writer, writer))):
        count += len(found)
        yield from _give_back(found)
    return count


def _give_back(found: Sequence[Sequence[Any]]) -> Generator[Ask, Any, None]:
    sums: dict[tuple[str, int], int] = {}
    for quota_id, period_us, amount in found:
        sums[quota_id, period_us] = sums.get((quota_id, period_us), 0) + amount
    for place in sorted(sums):
        yield Ask(_GIVE_BACK, (sums[place], *place))


def _place(line: Line) -> tuple[str, int]:
    return line.quota.id, line.begins_us
