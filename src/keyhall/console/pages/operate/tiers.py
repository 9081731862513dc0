"""Tiers: built in, and declared in the settings file. Shown here, changed there."""

from starlette.responses import Response

from keyhall.config.shown import tier_toml
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import BUILT_IN, Tier
from keyhall.stores.operate import places

EXAMPLE = Tier("workshop", Limits(30, 60_000, 2), 1_024)


async def show(ask: Ask) -> Response:
    tiers = ask.console.tiers()
    async with ask.store.reading() as connection:
        use = await places.tier_use(connection)
    shown = [
        (tier, name in BUILT_IN, *use.get(name, (0, 0)))
        for name, tier in sorted(tiers.items(), key=lambda each: (each[0] not in BUILT_IN, each))
    ]
    own = [tier for name, tier in sorted(tiers.items()) if name not in BUILT_IN]
    return ask.page(
        "operate/tiers.html",
        shown=shown,
        missing=sorted((name, *use[name]) for name in use if name not in tiers),
        own="\n".join(map(tier_toml, own)),
        example=tier_toml(EXAMPLE),
    )


ROUTES = (Page("GET", "/tiers", show, "operate"),)
