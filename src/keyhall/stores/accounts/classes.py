"""Class lists: many people at once, and what became of them.

A class is the invitations that carry its facts; its people are their accounts.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import msgspec
from sqlalchemy import case, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.ports.people import Link, SchoolClass, SignIn
from keyhall.ports.records import Account
from keyhall.stores.accounts import people, sessions
from keyhall.stores.accounts.tables import links, sign_ins
from keyhall.stores.accounts.tables import sessions as sessions_table
from keyhall.stores.tables import accounts, keys, members, projects

_AT_ONCE = 500  # bound values of one statement


class Facts(TypedDict):
    """What every invitation of a class carries, letter by letter the same."""

    id: str
    name: str
    ends_at_us: int | None


def facts_text(facts: Facts) -> str:
    return msgspec.json.encode(facts).decode()


async def by_emails(connection: AsyncConnection, emails: Sequence[str]) -> dict[str, SignIn]:
    """The accounts there are already, by address."""
    found: dict[str, SignIn] = {}
    for start in range(0, len(emails), _AT_ONCE):
        part = emails[start : start + _AT_ONCE]
        for each in await people.of_emails(connection, part):
            found[each.account.email or ""] = each
    return found


async def member_ids(connection: AsyncConnection, organization_id: str) -> frozenset[str]:
    query = select(members.c.account_id).where(members.c.organization_id == organization_id)
    return frozenset(await connection.scalars(query))


async def add_people(
    connection: AsyncConnection, organization_id: str, made: Sequence[Account], now_us: int
) -> None:
    """Accounts without passwords, as members."""
    if not made:
        return
    await connection.execute(
        insert(accounts),
        [
            {"id": each.id, "name": each.name, "email": each.email, "created_at_us": now_us}
            for each in made
        ],
    )
    await connection.execute(
        insert(sign_ins),
        [
            {
                "account_id": each.id,
                "password_at_us": now_us,
                "is_operator": 0,
                "totp_step": 0,
                "preferences": "{}",
            }
            for each in made
        ],
    )
    await connection.execute(
        insert(members),
        [
            {
                "organization_id": organization_id,
                "account_id": each.id,
                "role": "member",
                "created_at_us": now_us,
            }
            for each in made
        ],
    )


async def has_class(connection: AsyncConnection, organization_id: str, class_id: str) -> bool:
    return any(each.id == class_id for each in await classes_of(connection, organization_id))


async def classes_of(connection: AsyncConnection, organization_id: str) -> list[SchoolClass]:
    """Newest first, without their keys' numbers."""
    joined = func.sum(case((links.c.used_at_us.is_not(None), 1), else_=0))
    query = (
        select(links.c.facts, func.min(links.c.created_at_us), func.count(), joined)
        .where(
            links.c.organization_id == organization_id,
            links.c.kind == "invite",
            links.c.facts.is_not(None),
        )
        .group_by(links.c.facts)
    )
    found = []
    for text, made_at_us, count, used in await connection.execute(query):
        facts = msgspec.json.decode(text, type=Facts)
        found.append(
            SchoolClass(
                facts["id"],
                facts["name"],
                made_at_us,
                count,
                int(used or 0),
                ends_at_us=facts["ends_at_us"],
            )
        )
    return sorted(found, key=lambda each: (-each.made_at_us, each.id))


async def with_keys(
    connection: AsyncConnection, organization_id: str, now_us: int
) -> list[SchoolClass]:
    """`classes_of`, with how many keys their people have."""
    found = []
    for each in await classes_of(connection, organization_id):
        ids = [
            link.account_id
            for link in await links_of(connection, organization_id, each.id)
            if link.account_id is not None
        ]
        usable, paused = await key_counts(connection, organization_id, ids, now_us)
        found.append(replace(each, keys=usable, paused=paused))
    return found


async def links_of(connection: AsyncConnection, organization_id: str, class_id: str) -> list[Link]:
    """The invitations of a class, used or not."""
    query = select(links).where(
        links.c.organization_id == organization_id,
        links.c.kind == "invite",
        links.c.facts.is_not(None),
    )
    found = [sessions.link_of(row) for row in (await connection.execute(query)).mappings()]
    return [
        each
        for each in found
        if msgspec.json.decode(each.facts or "", type=Facts)["id"] == class_id
    ]


async def key_counts(
    connection: AsyncConnection, organization_id: str, account_ids: Sequence[str], now_us: int
) -> tuple[int, int]:
    """Keys of these people in the organization that can be used, and that are paused."""
    usable = paused = 0
    lives = keys.c.expires_at_us.is_(None) | (keys.c.expires_at_us > now_us)
    for start in range(0, len(account_ids), _AT_ONCE):
        query = (
            select(keys.c.paused_at_us.is_(None), func.count())
            .select_from(keys.join(projects, keys.c.project_id == projects.c.id))
            .where(
                projects.c.organization_id == organization_id,
                keys.c.account_id.in_(account_ids[start : start + _AT_ONCE]),
                keys.c.revoked_at_us.is_(None),
                lives,
            )
            .group_by(keys.c.paused_at_us.is_(None))
        )
        for is_usable, count in await connection.execute(query):
            if is_usable:
                usable += count
            else:
                paused += count
    return usable, paused


async def came_with(
    connection: AsyncConnection, organization_id: str, account_ids: Sequence[str], since_us: int
) -> list[str]:
    """Those who are plain members since then: by the class, or by its invitation."""
    found: list[str] = []
    for start in range(0, len(account_ids), _AT_ONCE):
        query = select(members.c.account_id).where(
            members.c.organization_id == organization_id,
            members.c.account_id.in_(account_ids[start : start + _AT_ONCE]),
            members.c.role == "member",
            members.c.created_at_us >= since_us,
        )
        found += await connection.scalars(query)
    return found


async def only_there(
    connection: AsyncConnection, organization_id: str, account_ids: Sequence[str]
) -> list[str]:
    """Those who are members of no other organization, and run nothing."""
    elsewhere: set[str] = set()
    for start in range(0, len(account_ids), _AT_ONCE):
        part = account_ids[start : start + _AT_ONCE]
        query = select(members.c.account_id).where(
            members.c.organization_id != organization_id, members.c.account_id.in_(part)
        )
        operators = select(sign_ins.c.account_id).where(
            sign_ins.c.is_operator == 1, sign_ins.c.account_id.in_(part)
        )
        elsewhere.update(await connection.scalars(query))
        elsewhere.update(await connection.scalars(operators))
    return [each for each in account_ids if each not in elsewhere]


async def suspended(
    connection: AsyncConnection, account_ids: Sequence[str]
) -> dict[str, int | None]:
    """Since when each is suspended."""
    found: dict[str, int | None] = {}
    for start in range(0, len(account_ids), _AT_ONCE):
        part = account_ids[start : start + _AT_ONCE]
        query = select(sign_ins.c.account_id, sign_ins.c.suspended_at_us).where(
            sign_ins.c.account_id.in_(part)
        )
        found |= {row[0]: row[1] for row in await connection.execute(query)}
    return found


async def set_suspended(
    connection: AsyncConnection, account_ids: Sequence[str], at_us: int | None
) -> None:
    """Suspend accounts, which ends their sessions; or resume them."""
    for start in range(0, len(account_ids), _AT_ONCE):
        part = account_ids[start : start + _AT_ONCE]
        changed = update(sign_ins).where(sign_ins.c.account_id.in_(part))
        await connection.execute(changed.values(suspended_at_us=at_us))
        if at_us is not None:
            gone = delete(sessions_table).where(sessions_table.c.account_id.in_(part))
            await connection.execute(gone)


async def end(
    connection: AsyncConnection, organization_id: str, found: Sequence[Link], now_us: int
) -> None:
    """Withdraw what was not used of a class's invitations, and take the memberships that came
    with it."""
    for start in range(0, len(found), _AT_ONCE):
        part = found[start : start + _AT_ONCE]
        await connection.execute(
            update(links)
            .where(links.c.id.in_([each.id for each in part]), links.c.used_at_us.is_(None))
            .values(ends_at_us=now_us)
        )
        ids = [each.account_id for each in part if each.account_id is not None]
        came = await came_with(connection, organization_id, ids, part[0].created_at_us)
        await connection.execute(
            delete(members).where(
                members.c.organization_id == organization_id, members.c.account_id.in_(came)
            )
        )
