"""The starter policy: rules in the thirteen categories of OpenAI's moderation, as package data.

They are rules and no intelligence: phrases that say an intent or ask for instructions, each with
its reason and with sentences that it must find and must leave alone. They are off until an operator
switches them on; `/v1/moderations` answers from them all the same.
"""

from functools import cache
from importlib import resources

import msgspec

from keyhall.policy.filters import built_in
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.written.files import parse

__all__ = ["current", "shipped", "starter"]


@cache
def starter() -> tuple[Rule, ...]:
    """All of them, off. Read once (some 10 ms), then kept."""
    folder = resources.files(__name__) / "starter"
    files = sorted((each for each in folder.iterdir()), key=lambda each: each.name)
    texts = {each.name: each.read_text("utf-8") for each in files if each.name.endswith(".toml")}
    return tuple(msgspec.structs.replace(rule, is_on=False) for rule in parse(texts))


@cache
def shipped() -> tuple[Rule, ...]:
    """Every rule that comes with Keyhall, off: the starter policy, and the patterns of secrets,
    cards, accounts and addresses."""
    patterns = built_in.rules(list(built_in.GROUPS))
    return (*starter(), *(msgspec.structs.replace(rule, is_on=False) for rule in patterns))


@cache
def _by_id() -> dict[str, Rule]:
    return {rule.id: rule for rule in shipped()}


def current(kept: Rule) -> Rule:
    """A rule that is kept, as this release has it: of one that comes with Keyhall only the switch
    is the operator's, and what it looks for may be better by now."""
    now = _by_id().get(kept.id)
    if now is None:
        return kept
    return msgspec.structs.replace(
        now,
        is_on=kept.is_on,
        action=kept.action,
        percent=kept.percent,
        direction=kept.direction,
    )
