"""Kept rules: one function per query."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import ColumnElement, RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.filters.rules import Rule
from keyhall.ports.filters import ProjectCount, RuleCount, RuleScope, StoredRule
from keyhall.stores.filters.tables import filter_counts, filter_project_counts, filter_rules

_read = msgspec.json.Decoder(Rule).decode


def _stored(row: RowMapping) -> StoredRule:
    return StoredRule(
        row["scope"], row["scope_id"], _read(row["rule"]), row["created_at_us"],
        row["changed_at_us"],
    )  # fmt: skip


async def list_all(
    connection: AsyncConnection, scope: RuleScope | None = None, scope_id: str | None = None
) -> list[StoredRule]:
    """By whose they are and their ids; all of them, or of one scope, or of one owner."""
    columns = filter_rules.c
    query = select(filter_rules).order_by(columns.scope, columns.scope_id, columns.rule_id)
    if scope is not None:
        query = query.where(columns.scope == scope)
    if scope_id is not None:
        query = query.where(columns.scope_id == scope_id)
    return [_stored(row) for row in (await connection.execute(query)).mappings()]


async def find(
    connection: AsyncConnection, scope: RuleScope, scope_id: str, rule_id: str
) -> StoredRule | None:
    query = select(filter_rules).where(*_one(scope, scope_id, rule_id))
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _stored(row)


async def put(connection: AsyncConnection, stored: StoredRule) -> None:
    """Keep a rule, in place of one of the same owner and id."""
    text = msgspec.json.encode(stored.rule).decode()
    which = _one(stored.scope, stored.scope_id, stored.rule.id)
    values = {"rule": text, "changed_at_us": stored.changed_at_us}
    done = await connection.execute(update(filter_rules).where(*which).values(**values))
    if done.rowcount == 0:
        whose = {"scope": stored.scope, "scope_id": stored.scope_id, "rule_id": stored.rule.id}
        values |= whose | {"created_at_us": stored.created_at_us}
        await connection.execute(insert(filter_rules).values(**values))


async def remove(
    connection: AsyncConnection, scope: RuleScope, scope_id: str, rule_id: str
) -> bool:
    """Whether there was one."""
    done = await connection.execute(delete(filter_rules).where(*_one(scope, scope_id, rule_id)))
    return done.rowcount > 0


def _one(scope: RuleScope, scope_id: str, rule_id: str) -> tuple[ColumnElement[bool], ...]:
    columns = filter_rules.c
    return (columns.scope == scope, columns.scope_id == scope_id, columns.rule_id == rule_id)


# --- Counts ---------------------------------------------------------------------------------------


async def counts(connection: AsyncConnection) -> list[RuleCount]:
    query = select(filter_counts).order_by(filter_counts.c.rule_id)
    return [RuleCount(**row) for row in (await connection.execute(query)).mappings()]


async def add_counts(
    connection: AsyncConnection, hits: Mapping[str, int], false_positives: Sequence[str] = ()
) -> None:
    """Add hits by rule, and one report for each that is named."""
    for rule_id in sorted({*hits, *false_positives}):
        columns = filter_counts.c
        more, reports = hits.get(rule_id, 0), list(false_positives).count(rule_id)
        values = {"hits": columns.hits + more, "false_positives": columns.false_positives + reports}
        one = update(filter_counts).where(columns.rule_id == rule_id)
        if (await connection.execute(one.values(**values))).rowcount == 0:
            first = {"rule_id": rule_id, "hits": more, "false_positives": reports}
            await connection.execute(insert(filter_counts).values(**first))


async def project_counts(
    connection: AsyncConnection,
    *,
    project_id: str | None = None,
    rule_id: str | None = None,
    limit: int | None = None,
) -> list[ProjectCount]:
    """Of one project, or of one rule; most hits first."""
    columns = filter_project_counts.c
    order = (columns.hits.desc(), columns.project_id, columns.rule_id)
    query = select(filter_project_counts).order_by(*order).limit(limit)
    if project_id is not None:
        query = query.where(columns.project_id == project_id)
    if rule_id is not None:
        query = query.where(columns.rule_id == rule_id)
    return [ProjectCount(**row) for row in (await connection.execute(query)).mappings()]


async def add_project_counts(
    connection: AsyncConnection,
    hits: Mapping[tuple[str, str], int],
    false_positives: Sequence[tuple[str, str]] = (),
) -> None:
    """Add hits by project and rule, and one report for each pair that is named."""
    columns = filter_project_counts.c
    for project_id, rule_id in sorted({*hits, *false_positives}):
        by = project_id, rule_id
        more, reports = hits.get(by, 0), list(false_positives).count(by)
        values = {"hits": columns.hits + more, "false_positives": columns.false_positives + reports}
        one = update(filter_project_counts).where(
            columns.project_id == project_id, columns.rule_id == rule_id
        )
        if (await connection.execute(one.values(**values))).rowcount == 0:
            first = {"project_id": project_id, "rule_id": rule_id}
            numbers = {"hits": more, "false_positives": reports}
            await connection.execute(insert(filter_project_counts).values(**first, **numbers))
