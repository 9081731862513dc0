"""Everything that is told, each by a task: thresholds of quotas, and notices to keys' owners."""

from collections.abc import Coroutine, Iterator
from typing import Any

from keyhall.config.alerts import Alerts
from keyhall.flows.alerts.notices import OfNotices
from keyhall.flows.alerts.tell import OfQuotas, Teller, channels_of
from keyhall.flows.hall import Hall
from keyhall.stores.sql import SqlStore


def tellers(
    settings: Alerts, store: SqlStore, hall: Hall
) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
    """None for what nothing is configured for. Raises Invalid for an address never called."""
    channels = channels_of(settings)
    if channels:
        yield "tell alerts", Teller(store, channels, hall.clock, OfQuotas()).run()
    channels = channels_of(settings, to_owners=True)
    if channels:
        yield "tell owners", Teller(store, channels, hall.clock, OfNotices(hall.url)).run()
