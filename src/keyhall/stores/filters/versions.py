"""Every version of a rule that was written here: one function per query."""

from dataclasses import dataclass

import msgspec
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.filters.rules import Rule
from keyhall.ports.filters import RuleScope
from keyhall.stores.filters.tables import filter_rule_versions

VERSIONS_MAX = 100  # of one rule; older ones are in the audit

_read = msgspec.json.Decoder(Rule).decode
_columns = filter_rule_versions.c


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """`rule` is None where it was removed."""

    version: int
    rule: Rule | None
    changed_by: str
    changed_at_us: int


async def add(
    connection: AsyncConnection,
    scope: RuleScope,
    scope_id: str,
    rule_id: str,
    rule: Rule | None,
    by: str,
    now_us: int,
) -> int:
    """Its number."""
    which = (
        _columns.scope == scope, _columns.scope_id == scope_id, _columns.rule_id == rule_id
    )  # fmt: skip
    newest = await connection.scalar(select(func.max(_columns.version)).where(*which)) or 0
    await connection.execute(
        insert(filter_rule_versions).values(
            scope=scope,
            scope_id=scope_id,
            rule_id=rule_id,
            version=newest + 1,
            rule=None if rule is None else msgspec.json.encode(rule).decode(),
            changed_by=by,
            changed_at_us=now_us,
        )
    )
    old = delete(filter_rule_versions).where(*which, _columns.version <= newest + 1 - VERSIONS_MAX)
    await connection.execute(old)
    return newest + 1


async def of_rule(
    connection: AsyncConnection, scope: RuleScope, scope_id: str, rule_id: str, limit: int
) -> list[RuleVersion]:
    """Newest first."""
    query = (
        select(filter_rule_versions)
        .where(
            _columns.scope == scope, _columns.scope_id == scope_id, _columns.rule_id == rule_id
        )
        .order_by(_columns.version.desc())
        .limit(limit)
    )  # fmt: skip
    return [
        RuleVersion(
            row["version"],
            None if row["rule"] is None else _read(row["rule"]),
            row["changed_by"],
            row["changed_at_us"],
        )
        for row in (await connection.execute(query)).mappings()
    ]
