"""Which rules are in force: those that come with Keyhall, as the operator has switched them, the
operator's own, and on top of both what a project wants stricter.
"""

from collections.abc import Iterable, Sequence

import msgspec

from keyhall.policy.filters.rules import Action, Rule, stricter


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What an owner says of one rule: a switch, or with `rule` a rule of their own."""

    id: str
    is_on: bool
    action: Action
    percent: int = 100
    rule: Rule | None = None

    def applied(self, to: Rule) -> Rule:
        return msgspec.structs.replace(
            to, is_on=self.is_on, action=self.action, percent=self.percent
        )


def chosen(rules: Iterable[Rule], choices: Iterable[Choice]) -> tuple[Rule, ...]:
    """Rules as their owner has switched them, and behind them the owner's own. A switch of a rule
    that is gone says nothing."""
    by_id = {choice.id: choice for choice in choices}
    found = {}
    for rule in rules:
        choice = by_id.get(rule.id)
        found[rule.id] = rule if choice is None else choice.applied(rule)
    for choice in by_id.values():
        if choice.rule is not None and choice.id not in found:
            found[choice.id] = choice.applied(choice.rule)
    return tuple(found.values())


def with_project(hall: Sequence[Rule], choices: Iterable[Choice]) -> tuple[Rule, ...]:
    """The hall's rules with a project's on top: stricter, never looser."""
    known = {rule.id: rule for rule in hall}
    theirs = []
    for choice in choices:
        rule = choice.rule if choice.rule is not None else known.get(choice.id)
        if rule is not None:
            theirs.append(choice.applied(rule))
    return stricter(hall, theirs)
