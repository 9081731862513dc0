"""What a process tells Redis of others: of those whose journals it has adopted, and of the ledger.

A process that was killed may have admitted something by itself, and the others wait for it before
Redis counts for all of them again. Its journal says since when Redis did not know all of it
(`Heritage.untold_since_us`, 0 if it did), and whoever adopts the journal has recorded all that it
admitted: so the successor can answer for it. It takes the place of the dead one among the members
with its first sign of life, as one that has not joined yet, and joins when it has told what is in
the ledger: since that time; or the last minute, where Redis is young and never heard of the dead
one. The ledger does not say who admitted what: others' requests of that time count twice for a
minute, on the safe side.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from keyhall.counters.plans import Plans
from keyhall.counters.redis import mirror, scripts
from keyhall.counters.redis.mirror import Mirrored, RedisPlan
from keyhall.policy.limits import WindowLimits
from keyhall.policy.window import SECOND_US, Slot, Window
from keyhall.ports.counters import Past


def _forget(_: int) -> None:
    """Without a journal nothing survives us."""


@dataclass(frozen=True, slots=True)
class Heritage:
    """`name` is that of our journal, which no other living process has; `answers` are those of the
    adopted ones, whose processes are dead and whose usage is recorded. `note` writes down, where
    a successor finds it, since when Redis does not know all that we admitted; 0 if it does.
    `is_alone`: those who will count with us have not been started yet."""

    name: str = ""
    answers: tuple[str, ...] = ()
    untold_since_us: int = 0
    note: Callable[[int], None] = _forget
    is_alone: bool = False

    def name_of(self, life: str) -> str:
        """A member's name. Two machines may have copies of one folder: both are counted."""
        return f"{self.name}/{life}" if self.name else life


NO_HERITAGE = Heritage()


def recall(table: Plans[RedisPlan, Mirrored], past: list[Past], since_us: int) -> list[Past]:
    """Count what the ledger knows as if this process had admitted it: the records, in order of
    time, from that time on. Returns the others."""
    late: dict[Mirrored, list[Past]] = defaultdict(list)
    for record in past:
        at_us = record.admitted_at_us
        if at_us < since_us:
            continue
        plan = table.by_id.get(id(record.windows)) or table.make(record.windows, at_us)
        for window in plan.windows:
            if at_us < window.last_us:  # It has admitted something since, without Redis.
                late[window].append(record)
                continue
            window.turn(at_us)
            window.take(at_us, record.tokens)
            window.settle(at_us, record.tokens, record.tokens)
    for window, records in late.items():
        _put_in(window, records)
    return [record for record in past if record.admitted_at_us < since_us]


def _put_in(window: Mirrored, records: Iterable[Past]) -> None:
    """Count settled requests in the slots of their seconds, which are older than the newest."""
    slots: dict[int, Slot] = {slot[0] // SECOND_US: slot for slot in window.slots()}
    for record in records:
        at_us = record.admitted_at_us
        last_us, tokens, held, requests, open_ = slots.get(at_us // SECOND_US, (0, 0, 0, 0, 0))
        slot = max(last_us, at_us), tokens + record.tokens, held, requests + 1, open_
        slots[at_us // SECOND_US] = slot
    *closed, newest = (slots[second] for second in sorted(slots))
    made = Window.of(newest, closed, newest[0] - newest[0] % SECOND_US)
    made.past_open = window.open_holds() - made.open
    for name in Window.__slots__:
        setattr(window, name, getattr(made, name))


def untold(
    plans: Mapping[int, RedisPlan], epoch: str, *, is_new_memory: bool
) -> list[tuple[Mirrored, bytes]]:
    """Windows of which Redis does not know everything, each with the command that tells it."""
    found: dict[Mirrored, bytes] = {}
    for plan in plans.values():
        for each, window in zip(plan.asked, plan.windows, strict=True):
            source = window if is_new_memory else window.alone
            if window not in found and source is not None and (slots := source.slots()):
                found[window] = _told(each, epoch, slots)
    return list(found.items())


def _told(each: WindowLimits, epoch: str, slots: list[Slot]) -> bytes:
    keys = [mirror.epoch_key(each.group), mirror.window_key(each)]
    return scripts.PUSH.call(keys, epoch, mirror.slots_of(slots))
