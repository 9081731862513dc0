"""After a start: fill the windows from the last 61 seconds, so that a restart admits nothing
extra (R6)."""

from collections.abc import Mapping

from keyhall.policy import tiers
from keyhall.policy.access import Grant
from keyhall.policy.tiers import Tier
from keyhall.ports.counters import Counters, Past
from keyhall.ports.store import LaneStore

SPAN_US = 61_000_000


async def rebuild(
    counters: Counters, store: LaneStore, tier_table: Mapping[str, Tier], now_us: int
) -> int:
    """How many requests were counted again."""
    grants: dict[str, Grant | None] = {}
    past = []
    for usage in await store.usage_since(now_us - SPAN_US):
        if usage.key_id not in grants:
            grants[usage.key_id] = await store.find_grant_by_id(usage.key_id)
        grant = grants[usage.key_id]
        if grant is None:
            continue  # Its key is gone, and so is everything that could ask for its windows.
        windows = tiers.effective(grant, tier_table, now_us).windows
        past.append(Past(windows, usage.admitted_at_us, usage.input_tokens + usage.output_tokens))
    counters.rebuild(past)
    return len(past)
