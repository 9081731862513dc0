"""`keyhall limits KEY`: which limits are in force for a key, and why."""

from typing import Any

import click

from keyhall.cli.manage import key_text, show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.manage import keys as manage
from keyhall.flows.manage.checks import Invalid
from keyhall.policy.tiers import FOREVER_US, Effective, effective, explain
from keyhall.ports.records import Key, KeyState


@click.command()
@click.argument("key")
@options
def limits(key: str, as_json: bool, where: Where) -> None:
    """Show the limits in force for KEY, and where each comes from."""

    async def work(house: House) -> tuple[Key, Effective, KeyState]:
        found = await manage.find(house.store, key, house.now_us)
        grant = await house.store.find_grant_by_id(found.id)
        if grant is None:
            raise Invalid(f"{found.id} is an admin key: it calls no models and has no limits.")
        state = found.state(house.now_us)
        return found, effective(grant, house.tiers, house.now_us), state

    found, now, state = act(where, work)
    if as_json:
        show.as_json({**json_of(found, now), "state": state})
        return
    if state != "active":
        show.line(f"The key is {state}: its requests are refused. Were it active:\n")
    show.line(f"{key_text.named(found)}, {found.mode}, tier {found.tier}\n")
    for line in explain(now):
        show.line(f"  {line}")


def json_of(key: Key, now: Effective) -> dict[str, Any]:
    until_us = None if now.until_us >= FOREVER_US else now.until_us
    return {
        "key": key.id,
        "tier": key.tier,
        "windows": [
            {"scope": window.scope, "id": window.id, **words.limits_json(window.limits)}
            for window in now.windows
        ],
        "default_output": now.default_output,
        "until": words.stamp(until_us),
        "explanation": explain(now),
    }
