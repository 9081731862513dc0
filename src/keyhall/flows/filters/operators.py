"""The operator's rules, as the settings give them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from keyhall.config import Filter
from keyhall.flows.filters.table import Filters
from keyhall.flows.manage.checks import Refused
from keyhall.policy.filters import built_in
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import ACTIONS, TERMS_MAX, Action, Rule, RuleRefused
from keyhall.stores.sql import SqlStore

FILE_BYTES_MAX = 10 << 20
OWNER = "settings"


class FilterUnfit(Refused):
    """The filter's settings cannot be used: a hall does not start without rules it was to have."""


async def filters_of(store: SqlStore, settings: Filter) -> Filters:
    """The operator's rules, and those that are kept. Raises FilterUnfit."""
    filters = Filters(await asyncio.to_thread(rules_of, settings))
    filters.take(await store.load_rules())
    return filters


def rules_of(settings: Filter) -> tuple[Rule, ...]:
    """Raises FilterUnfit."""
    try:
        rules = tuple(_rules(settings))
        Policy(rules)
    except RuleRefused as error:
        raise FilterUnfit(f"[filter] {error}") from None
    return rules


def _rules(settings: Filter) -> Iterator[Rule]:
    if settings.characters_max:
        yield Rule(
            id="size", stage="size", action="block", direction="in", owner=OWNER,
            characters=settings.characters_max, reason="The text is longer than is allowed here.",
        )  # fmt: skip
    if settings.signs != "off":
        yield Rule(
            id="signs", stage="encoding", action=_action(settings.signs), owner=OWNER,
            signs=("control", "bidi", "invisible", "private"),
            reason="Signs that nobody sees hide what a text says.",
        )  # fmt: skip
    for group in built_in.GROUPS:
        action = getattr(settings, group)
        if action != "off":
            yield from built_in.rules([group], action)
    if settings.terms and settings.terms_action != "off":
        for path in map(Path, settings.terms):
            yield Rule(
                id=_name(path), stage="terms", action=_action(settings.terms_action), owner=OWNER,
                terms=_terms(path), reason=f"A term of {path.name}.",
            )  # fmt: skip
    if settings.model and settings.model_action not in ("off", "mask"):
        yield Rule(
            id="model", stage="model", action=_action(settings.model_action), owner=OWNER,
            engine=settings.model, seconds=settings.model_seconds, fail=settings.model_fail,
            reason="A model judges it so.",
        )  # fmt: skip


def _action(given: str) -> Action:
    return next(action for action in ACTIONS if action == given)


def _name(path: Path) -> str:
    stem = "".join(each if each.isalnum() and each.isascii() else "-" for each in path.stem.lower())
    return f"terms/{stem[:60].strip('-') or 'file'}"


def _terms(path: Path) -> tuple[str, ...]:
    """One a line; what follows a `#` is a remark."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise FilterUnfit(f"[filter] terms: {path} has more than {FILE_BYTES_MAX} bytes.")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FilterUnfit(f"[filter] terms: {path} is not UTF-8 text.") from None
    except OSError as error:
        raise FilterUnfit(f"[filter] terms: {path} cannot be read: {error.strerror}.") from None
    terms = tuple(
        dict.fromkeys(
            bare for line in text.splitlines() if (bare := line.partition("#")[0].strip())
        )
    )
    if len(terms) > TERMS_MAX:
        raise FilterUnfit(f"[filter] terms: {path} has more than {TERMS_MAX} terms.")
    return terms
