"""A hall whose answers people look at: the desk on a stage, and the steps that reviewers take."""

from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from keyhall.flows.content.keeper import Keeper
from keyhall.flows.filters.judges import first_that_flags
from keyhall.flows.manage import organizations
from keyhall.flows.review import deciding
from keyhall.flows.review.deciding import Opinion
from keyhall.flows.review.desk import Desk
from keyhall.flows.review.feedback import give_feedback
from keyhall.flows.review.fetching import PREFIX, show_review
from keyhall.policy.review.rules import Rules
from keyhall.ports.records import Actor
from keyhall.ports.review import Item
from keyhall.stores.content.sealing import Vault
from keyhall.stores.review import items

ANN, BOB, CEE = (Actor(f"account:acct_{name}", "console") for name in ("ann", "bob", "cee"))


async def with_desk(stage: Any, **rules: Any) -> Desk:
    """A desk for the hall, and the default project's rules."""
    hall = stage.hall
    hall.content = Keeper(stage.store, Vault(stage.house.peppers), stage.clock)
    judge = partial(first_that_flags, hall=hall)
    digest, filters = hall.callers.digest, hall.filters
    hall.reviews = Desk(stage.store, stage.clock, hall.content, digest, filters, judge)
    await set_rules(stage, **rules)
    return hall.reviews


async def set_rules(stage: Any, **rules: Any) -> None:
    await organizations.change_project(
        stage.store,
        "Default project",
        lambda project: replace(project, review=Rules(**rules)),
        action="project.review",
        actor=stage.house.actor,
        now_us=stage.clock.now_us(),
    )
    await stage.follower.catch_up()


async def tell(stage: Any, key: str | None, **body: Any) -> Any:
    """Feedback, as a client sends it."""
    exchange = stage.exchange(key, raw=msgspec.json.encode(body))
    return await stage.begin(exchange, give_feedback).end()


async def fetch(stage: Any, key: str, review_id: str, wait: bytes | None = None) -> Any:
    return await begin_fetch(stage, key, review_id, wait).end()


def begin_fetch(stage: Any, key: str, review_id: str, wait: bytes | None = None) -> Any:
    exchange = stage.exchange(key, raw=b"")
    exchange.method, exchange.path = b"GET", PREFIX + review_id.encode()
    exchange.review_wait = wait
    return stage.begin(exchange, show_review)


async def only_item(stage: Any) -> Item:
    found = await all_items(stage)
    assert len(found) == 1
    return found[0]


async def all_items(stage: Any) -> list[Item]:
    async with stage.store.reading() as connection:
        organization = (await organizations_of(connection))[0]
        return await items.queue(connection, organization, which="all", who="", limit=100)


async def organizations_of(connection: Any) -> list[str]:
    from keyhall.stores.organizations import list_organizations

    return [each.id for each in await list_organizations(connection, 10)]


async def claim(stage: Any, item: Item, who: Actor) -> Item:
    desk = stage.hall.reviews
    return await deciding.claim(desk, None, item.id, actor=who, now_us=stage.clock.now_us())


async def decide(
    stage: Any, item: Item, who: Actor, decision: Any = "release", **more: Any
) -> Item:
    """Claim and review it."""
    desk, now_us = stage.hall.reviews, stage.clock.now_us()
    await deciding.claim(desk, None, item.id, actor=who, now_us=now_us)
    opinion = Opinion(decision, **({"score": 4} | more))
    return await deciding.review(desk, None, item.id, opinion, actor=who, now_us=now_us)


async def undo(stage: Any, who: Actor) -> Item:
    desk = stage.hall.reviews
    return await deciding.undo(desk, None, actor=who, now_us=stage.clock.now_us())
