"""After a start: fill the windows from the last 61 seconds, so that a restart admits nothing
extra (R6)."""

from collections.abc import Mapping
from pathlib import Path

from keyhall.counters.redis.telling import Heritage
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


def heritage_of(folder: Path, ledger: JournalLedger, recovered: Recovered) -> Heritage:
    """Whom this process answers for where counters are shared."""
    place = identity(folder)
    return Heritage(
        f"{place}/{ledger.journal_name}",
        tuple(f"{place}/{journal}" for journal in dict.fromkeys(recovered.journals)),
        recovered.untold_since_us,
        ledger.note_untold,
    )


async def fill(
    counters: Counters, store: LaneStore, tier_table: Mapping[str, Tier], now_us: int
) -> None:
    """Fill the windows and start counting."""
    await rebuild(counters, store, tier_table, now_us)
    await counters.start()


async def rebuild(
    counters: Counters, store: LaneStore, tier_table: Mapping[str, Tier], now_us: int
) -> int:
    """How many requests were counted again."""
    windows_of: dict[str, Windows] = {}
    past = []
    for usage in await store.usage_since(now_us - SPAN_US):
        windows = windows_of.get(usage.key_id)
        if windows is None:
            grant = await store.find_grant_by_id(usage.key_id)
            # If its key is gone, so is everything that could ask for its windows.
            windows = () if grant is None else tiers.effective(grant, tier_table, now_us).windows
            windows_of[usage.key_id] = windows
        if windows:
            tokens = usage.input_tokens + usage.output_tokens
            past.append(Past(windows, usage.admitted_at_us, tokens))
    counters.rebuild(past)
    return len(past)
