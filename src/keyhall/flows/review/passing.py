"""A corrected answer passes the filter that its caller is under, as the model's own has.

Nothing is masked or cut behind a reviewer's back: they are told which rule it is and what it found,
and the decision is not taken. What a rule would mask may stay if the answer had it already: these
are values that the caller sent, and that were put back for them. Rules that are rolled out to a
part of requests hold for every correction.
"""

import asyncio

from keyhall.flows.filters.trial import Found, around
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.review.desk import Desk
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.scan import Hit, Scanner
from keyhall.ports.review import Item

SHOWN_CHARACTERS = 80  # of what a rule found
DOES = {"mask": "mask a part of", "block": "block"}


class NotPassed(Invalid):
    """A correction that may not go out; the words say by which rule."""


async def check(desk: Desk, item: Item, text: str) -> None:
    """Raises NotPassed, Unreadable."""
    why_not = await _why_not(desk, item, text)
    if why_not is not None:
        raise NotPassed(why_not)


async def _why_not(desk: Desk, item: Item, text: str) -> str | None:
    assert desk.filters is not None, "a desk at which people decide knows the filter"
    grant = await desk.store.find_grant_by_id(item.key_id)
    rules = None if grant is None else desk.filters.of(grant)
    if rules is None:
        return None
    policy = await rules.compiled()
    stream = Scanner(policy, "out").stream()
    await asyncio.to_thread(stream.feed, text, last=True)
    hit = stream.cut or await _masked(desk, item, text, stream.hits)
    if hit is not None:
        rule = rules.by_id[hit.rule_id]
        return _said(rule, _passage(rule, text, hit))
    return await _judged(desk, policy.models["out"], text)


async def _masked(desk: Desk, item: Item, text: str, hits: list[Hit]) -> Hit | None:
    """The first that the answer did not have."""
    found = [hit for hit in hits if hit.action == "mask"]
    if not found:
        return None
    answer = await desk.texts.answer(item)
    before = "" if answer is None else answer.completion.choices[0].message.content or ""
    return next((hit for hit in found if text[hit.start : hit.end] not in before), None)


async def _judged(desk: Desk, rules: tuple[Rule, ...], text: str) -> str | None:
    if not rules:
        return None
    if desk.judge is None:
        closed = (rule for rule in rules if rule.action == "block" and rule.fail == "closed")
        if next(closed, None) is None:
            return None
        return "A model judges what goes out, and only the server asks it: decide in the console."
    rule = await desk.judge(rules, text)
    return _said(rule, "") if rule is not None and rule.action == "block" else None


def _passage(rule: Rule, text: str, hit: Hit) -> str:
    end = min(hit.end, hit.start + SHOWN_CHARACTERS)
    _, shown, _ = around(text, Found(rule, hit.start, end, 1, 1))
    return shown.strip()


def _said(rule: Rule, passage: str) -> str:
    finds = f" finds “{passage}”" if passage else ""
    why = f" {rule.reason}" if rule.reason else ""
    return (
        f"The filter would {DOES[rule.action]} this correction: its rule {rule.id}{finds}.{why} "
        "Say it otherwise, or refuse the answer."
    )
