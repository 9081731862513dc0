"""After a start: fill the windows from the last 61 seconds, so that a restart admits nothing
extra (R6)."""

from collections.abc import Mapping
from pathlib import Path

from keyhall.clock import Clock
from keyhall.counters.redis.telling import NO_HERITAGE, Heritage
from keyhall.ledger import eras
from keyhall.ledger.eras import Eras
from keyhall.ledger.files import identity
from keyhall.ledger.ledger import JournalLedger
from keyhall.ledger.recovery import Recovered
from keyhall.policy import tiers
from keyhall.policy.limits import WindowLimits
from keyhall.policy.tiers import Tier
from keyhall.ports.counters import Counters, Past
from keyhall.ports.store import LaneStore

SPAN_US = 61_000_000

Windows = tuple[WindowLimits, ...]


def heritage_of(
    folder: Path, ledger: JournalLedger, recovered: Recovered, *, is_shared: bool, is_alone: bool
) -> Heritage:
    """Whom this process answers for where counters are shared."""
    if not is_shared:
        return NO_HERITAGE
    place = identity(folder)
    return Heritage(
        f"{place}/{ledger.journal_name}",
        tuple(f"{place}/{journal}" for journal in dict.fromkeys(recovered.journals)),
        recovered.untold_since_us,
        ledger.note_untold,
        is_alone,
    )


def eras_of(folder: Path, clock: Clock, *, is_shared: bool) -> Eras:
    """Whose clocks wrote the records; of a shared database nobody knows that."""
    return Eras() if is_shared else eras.begin(folder, clock, eras.boot_of_machine())


async def fill(
    counters: Counters,
    store: LaneStore,
    tier_table: Mapping[str, Tier],
    now_us: int,
    known: Eras,
) -> None:
    """Fill the windows and start counting."""
    await rebuild(counters, store, tier_table, now_us, known)
    await counters.start()


async def rebuild(
    counters: Counters,
    store: LaneStore,
    tier_table: Mapping[str, Tier],
    now_us: int,
    known: Eras,
) -> int:
    """How many requests were counted again. `known` says how old records really are."""
    windows_of: dict[str, Windows] = {}
    past = []
    since_us = now_us - SPAN_US
    for usage in await store.usage_since(known.recorded_since_us(since_us)):
        admitted_at_us = known.ours(usage.admitted_at_us)
        if admitted_at_us < since_us:
            continue
        windows = windows_of.get(usage.key_id)
        if windows is None:
            grant = await store.find_grant_by_id(usage.key_id)
            # If its key is gone, so is everything that could ask for its windows.
            windows = () if grant is None else tiers.effective(grant, tier_table, now_us).windows
            windows_of[usage.key_id] = windows
        if windows:
            tokens = usage.input_tokens + usage.output_tokens
            past.append(Past(windows, admitted_at_us, tokens))
    counters.rebuild(past)
    return len(past)
