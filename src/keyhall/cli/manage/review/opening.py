"""The desk, for the time of one command."""

from keyhall.cli.manage.open import House
from keyhall.clock import SystemClock
from keyhall.flows.content.keeper import Keeper
from keyhall.flows.filters.table import Filters
from keyhall.flows.review.desk import Desk
from keyhall.policy.keys import digester
from keyhall.stores.content.sealing import Vault


def desk_of(house: House, filters: Filters | None = None) -> Desk:
    """`filters` for who decides: what corrections have to pass."""
    clock = SystemClock()
    days_max = house.config.privacy.retention_days_max
    content = Keeper(house.store, Vault(house.peppers), clock, days_max)
    return Desk(house.store, clock, content, digester(house.peppers[0]), filters)
