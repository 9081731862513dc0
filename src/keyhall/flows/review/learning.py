"""What is learned of reviews: who works how much, how far they agree, what people say of each
version, and pairs that a model may be trained with, where their owner gave leave."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from keyhall.flows.content import conversation
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.review.deciding import released_text
from keyhall.flows.review.desk import Desk
from keyhall.flows.review.looking import kind_of
from keyhall.policy.review import workload
from keyhall.policy.review.workload import Agreement, Load, Timed
from keyhall.ports.content import Unreadable
from keyhall.ports.records import Actor
from keyhall.ports.review import Item, Scorecard, mean
from keyhall.stores import notes, organizations
from keyhall.stores.review import items, sums
from keyhall.stores.sql import SqlStore

PAIRS_MAX = 10_000  # in one file
PROJECTS_MAX = 1_000

__all__ = ["Work", "exported", "mean", "scorecards", "work"]


@dataclass(frozen=True, slots=True)
class Work:
    loads: list[Load]
    agreement: Agreement
    open: dict[str, int]  # items, by state


async def work(store: SqlStore, organization_id: str, *, since_us: int) -> Work:
    async with store.reading() as connection:
        made = await items.made_since(connection, organization_id, since_us)
        waiting = await sums.by_state(connection, organization_id)
    timed = [Timed(each.request_id, each.review, each.at_us - each.claimed_at_us) for each in made]
    return Work(workload.loads(timed), workload.agreement(timed), waiting)


async def scorecards(
    store: SqlStore,
    *,
    since_us: int,
    organization_id: str | None = None,
    versions: Sequence[str] | None = None,
) -> list[Scorecard]:
    async with store.reading() as connection:
        return await sums.scorecards(
            connection, since_us=since_us, organization_id=organization_id, versions=versions
        )


@dataclass(frozen=True, slots=True)
class Exported:
    """What the audit says of an export."""

    organization_id: str
    projects: tuple[str, ...]
    pairs: int


async def exported(
    desk: Desk, organization_id: str, *, actor: Actor, now_us: int
) -> AsyncIterator[bytes]:
    """Lines of JSON in the form of a fine-tune of chats: what people released or corrected in
    projects whose owner gave leave, and whose words are still kept. Raises Invalid."""
    async with desk.store.reading() as connection:
        projects = await organizations.list_projects(
            connection, organization_id=organization_id, limit=PROJECTS_MAX
        )
        leave = {each.id for each in projects if each.review.export}
        if not leave:
            raise Invalid(
                "No project of this organization gave leave to export. It is given in the "
                "project's rules of review."
            )
        found = await items.decided_pairs(connection, organization_id, sorted(leave), PAIRS_MAX)
    count = 0
    for item in found:
        try:
            line = await _line(desk, item)
        except Unreadable:
            continue
        if line is not None:
            count += 1
            yield line
    async with desk.store.writing() as connection:
        await notes.record(
            connection,
            actor,
            now_us,
            action="review.export",
            target=organization_id,
            before=None,
            after=Exported(organization_id, tuple(sorted(leave)), count),
        )


async def _line(desk: Desk, item: Item) -> bytes | None:
    """Raises Unreadable."""
    kept = await desk.content.read(item.request_id, item.organization_id, kind_of(item))
    if kept is None:
        return None
    said = conversation.decode(kept.conversation)
    if not said.answers:
        return None
    answer: dict[str, Any] = msgspec.to_builtins(said.answers[0].message)
    if item.outcome == "edited":
        async with desk.store.reading() as connection:
            made = await items.of_item(connection, item.request_id)
        text = await released_text(desk, item, made)
        if text is None:
            return None
        answer["content"] = text
    turn = {name: answer[name] for name in ("content", "tool_calls") if answer.get(name)}
    line: dict[str, Any] = {
        "messages": [*msgspec.to_builtins(said.messages), {"role": "assistant", **turn}],
    }
    if said.tools:
        line["tools"] = msgspec.to_builtins(said.tools)
    line["metadata"] = {
        "review": item.id,
        "outcome": item.outcome,
        "model": item.version,
        "project": item.project_id,
        "decided_at": _stamp(item.decided_at_us or 0),
        "consent": "project",  # its owner's leave, in its rules of review
    }
    return msgspec.json.encode(line) + b"\n"


def _stamp(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
