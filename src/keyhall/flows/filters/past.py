"""Rules tried on what was said: kept conversations, counted and not shown.

What comes out are numbers, and ids of requests in which a rule hit. Whoever wants to read one of
those looks at it as at any other, which leaves a row in its owner's audit; that rules were tried on
what an organization keeps is a row in its audit, too, written before anything is opened.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from keyhall.flows.content import conversation
from keyhall.flows.content.conversation import Conversation
from keyhall.flows.filters.trial import counting
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Rule, Way
from keyhall.policy.filters.views import look
from keyhall.policy.filters.views.looker import Looker
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.content import walking
from keyhall.stores.content.sealing import Vault
from keyhall.stores.content.walking import Opener, Sealed, Span
from keyhall.stores.sql import SqlStore
from keyhall.wire.chat import ChatRequest
from keyhall.wire.chat_texts import texts, texts_of

LOOKED_MAX = 100_000  # conversations in one run
PAGE = 50  # of them opened at a time: each may have megabytes
EXAMPLES_MAX = 5  # of one rule
NAMED_MAX = 10  # rules that the audit names

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class TriedOn:
    """A run as the audit shows it."""

    organization_id: str
    project_id: str | None
    conversations: int
    rules: str


class Example(NamedTuple):
    """A request in which a rule hit: its 32 digits, and whose it is."""

    id: str
    organization_id: str


@dataclass(slots=True)
class Counted:
    """In how many conversations a rule hit, in what was asked and in what was answered."""

    rule: Rule
    asked: int = 0
    answered: int = 0
    either: int = 0
    examples: list[Example] = field(default_factory=list)  # newest first


@dataclass(slots=True)
class Past:
    kept: int  # in the span
    looked: int = 0  # newest first, of those that could be read
    unreadable: int = 0
    hit: int = 0  # conversations in which any of the rules hit
    rules: dict[str, Counted] = field(default_factory=dict)

    @property
    def hitting(self) -> list[Counted]:
        """Rules that hit anything, most first."""
        found = [each for each in self.rules.values() if each.either]
        return sorted(found, key=lambda each: (-each.either, each.rule.id))

    def share(self, conversations: int) -> float:
        return conversations / self.looked if self.looked else 0.0


async def tried(
    store: SqlStore,
    vault: Vault,
    rules: Sequence[Rule],
    span: Span,
    *,
    actor: Actor,
    now_us: int,
    looked_max: int = LOOKED_MAX,
    progress: Progress | None = None,
) -> Past:
    """What these rules would have hit. Raises RuleRefused."""
    policy = await asyncio.to_thread(lambda: Policy(counting(rules), in_pieces=False))
    async with store.writing() as connection:
        kept = await walking.by_organization(connection, span, now_us)
        named = ", ".join(rule.id for rule in rules[:NAMED_MAX])
        if len(rules) > NAMED_MAX:
            named += f" and {len(rules) - NAMED_MAX} more"
        for organization_id, conversations in kept.items():
            await notes.record(
                connection,
                actor,
                now_us,
                action="filter.try",
                target=organization_id,
                before=None,
                after=TriedOn(organization_id, span.project_id, conversations, named),
            )
    past = Past(sum(kept.values()), rules={rule.id: Counted(rule) for rule in rules})
    opener = Opener(vault)
    wanted = min(past.kept, looked_max)
    at: tuple[int, str] | None = None
    done = 0
    while done < wanted:
        async with store.reading() as connection:
            limit = min(PAGE, wanted - done)
            found = await walking.page(connection, span, now_us, before=at, limit=limit)
            await opener.know(connection, found)
        if not found:
            break  # What was due meanwhile is gone.
        await asyncio.to_thread(_count, past, policy, opener, found)
        at = found[-1].created_at_us, found[-1].id
        done += len(found)
        if progress is not None:
            progress(done, wanted)
    return past


def _count(past: Past, policy: Policy, opener: Opener, found: Sequence[Sealed]) -> None:
    for each in found:
        said = _opened(opener.text(each))
        if said is None:
            past.unreadable += 1
            continue
        past.looked += 1
        asked = _hit(policy, "in", _asked(said))
        answered = _hit(policy, "out", _answered(said))
        past.hit += bool(asked or answered)
        for rule_id in asked | answered:
            counted = past.rules[rule_id]
            counted.asked += rule_id in asked
            counted.answered += rule_id in answered
            counted.either += 1
            if len(counted.examples) < EXAMPLES_MAX:
                counted.examples.append(Example(each.id, each.organization_id))


def _opened(document: bytes | None) -> Conversation | None:
    if document is None:
        return None
    try:
        return conversation.decode(document)
    except msgspec.MsgspecError:
        return None


def _hit(policy: Policy, way: Way, said: Sequence[str]) -> set[str]:
    """Disguises count in prompts; whether an answer was sent whole, where they would, is not known
    any more."""
    looker = Looker(policy, way)
    found = {hit.rule_id for text in said if text for hit in looker.whole(text).hits}
    if way == "in":
        hidden = (look.hidden(looker, text) for text in said if look.may_hide(text))
        found |= {sight.rule.id for sights in hidden for sight in sights}
    return found


def _asked(said: Conversation) -> list[str]:
    request = ChatRequest(model="", messages=said.messages, tools=said.tools)
    return list(texts(request))


def _answered(said: Conversation) -> list[str]:
    return [text for choice in said.answers for text in texts_of(choice.message)]
