"""What feedback and reviews come to: scorecards of versions, who works how much."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.review import states
from keyhall.ports.review import Backlog, Scorecard
from keyhall.stores.review.tables import feedback, review_items, reviews
from keyhall.stores.tables import usage_hourly

_NONE = (0, 0, 0, 0, 0)


def _counts(rows: Any) -> dict[str, dict[Any, int]]:
    found: dict[str, dict[Any, int]] = defaultdict(dict)
    for version, value, count in rows:
        found[version][value] = count
    return found


def _scores(counts: dict[Any, int]) -> tuple[int, int, int, int, int]:
    one, two, three, four, five = (counts.get(score, 0) for score in range(1, 6))
    return one, two, three, four, five


async def scorecards(
    connection: AsyncConnection,
    *,
    since_us: int,
    organization_id: str | None = None,
    versions: Sequence[str] | None = None,
) -> list[Scorecard]:
    """One per version that was asked or spoken of since then, by name; None as the organization is
    all of the hall."""

    def of(table: Any, value: Any, at: Any) -> Any:
        query = select(table.c.version, value, func.count()).where(at >= since_us)
        if organization_id is not None:
            query = query.where(table.c.organization_id == organization_id)
        return query.group_by(table.c.version, value)

    now = feedback.c.replaced_at_us.is_(None)
    thumbs = _counts(
        await connection.execute(of(feedback, feedback.c.thumb, feedback.c.at_us).where(now))
    )
    rated = _counts(
        await connection.execute(of(feedback, feedback.c.score, feedback.c.at_us).where(now))
    )
    corrected = _counts(
        await connection.execute(
            of(feedback, feedback.c.has_correction, feedback.c.at_us).where(now)
        )
    )
    decided = review_items.c.state == "decided"
    outcomes = _counts(
        await connection.execute(
            of(review_items, review_items.c.outcome, review_items.c.decided_at_us).where(decided)
        )
    )
    given = (
        of(review_items, reviews.c.score, reviews.c.at_us)
        .join_from(review_items, reviews, reviews.c.request_id == review_items.c.request_id)
        .where(reviews.c.undone_at_us.is_(None))
    )
    scored = _counts(await connection.execute(given))
    answers = await _answers(connection, since_us, organization_id)
    names = {*thumbs, *rated, *outcomes, *scored, *answers}
    if versions is not None:
        names = set(versions)
    return [
        Scorecard(
            version=name,
            answers=answers.get(name, 0),
            up=thumbs.get(name, {}).get("up", 0),
            down=thumbs.get(name, {}).get("down", 0),
            scores=_scores(rated.get(name, {})),
            corrections=corrected.get(name, {}).get(1, 0),
            reviewed=sum(outcomes.get(name, {}).values()),
            released=outcomes.get(name, {}).get("released", 0),
            edited=outcomes.get(name, {}).get("edited", 0),
            refused=outcomes.get(name, {}).get("refused", 0),
            review_scores=_scores(scored.get(name, {})),
        )
        for name in (versions if versions is not None else sorted(names))
    ]


async def _answers(
    connection: AsyncConnection, since_us: int, organization_id: str | None
) -> dict[str, int]:
    query = select(usage_hourly.c.version, func.sum(usage_hourly.c.requests)).where(
        usage_hourly.c.hour_us >= since_us
    )
    if organization_id is not None:
        query = query.where(usage_hourly.c.organization_id == organization_id)
    rows = await connection.execute(query.group_by(usage_hourly.c.version))
    return {row[0]: int(row[1]) for row in rows}


async def by_state(connection: AsyncConnection, organization_id: str) -> dict[str, int]:
    """How many items are in each state that is open."""
    query = (
        select(review_items.c.state, func.count())
        .where(
            review_items.c.organization_id == organization_id,
            review_items.c.state.in_(states.OPEN),
        )
        .group_by(review_items.c.state)
    )
    return {row[0]: row[1] for row in await connection.execute(query)}


async def backlog(connection: AsyncConnection, now_us: int) -> Backlog:
    """Of the whole hall."""
    is_overdue = review_items.c.deadline_us <= now_us
    query = select(
        func.count(),
        func.coalesce(func.sum(review_items.c.is_held), 0),
        func.coalesce(func.sum(case((is_overdue, 1), else_=0)), 0),
        func.min(review_items.c.entered_at_us),
    ).where(review_items.c.state.in_(states.OPEN))
    count, held, overdue, oldest_us = (await connection.execute(query)).one()
    return Backlog(count, int(held), int(overdue), oldest_us)
