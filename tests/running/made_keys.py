"""Keys for tests of what people do to a hall that the first run has prepared."""

from typing import Any

from keyhall.flows.manage import keys, organizations
from keyhall.policy.tiers import BUILT_IN
from keyhall.ports.records import Project


def by(house: Any, after_us: int = 0) -> dict[str, Any]:
    """Who does it and when, as every act wants to know."""
    return {"actor": house.actor, "now_us": house.now_us + after_us}


async def make_key(
    house: Any, store: Any, name: str = "app", after_us: int = 0, **more: Any
) -> keys.Fresh:
    """A key in the default project, unless `project` names another, with its text."""
    return await keys.create(
        store,
        keys.NewKey(name, **more),
        tiers=BUILT_IN,
        pepper=house.peppers[0],
        entropy=house.entropy(),
        **by(house, after_us),
    )


async def make_project(
    house: Any, store: Any, name: str = "web", organization: str | None = None
) -> Project:
    """In the first organization, unless another is named."""
    return await organizations.create_project(
        store, name, organization=organization, entropy=house.entropy(), **by(house)
    )
