"""Accounts and how they sign in, members and where: one function per query."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import RowMapping, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.policy.people.roles import Role
from keyhall.ports.people import Member, Membership, SignIn
from keyhall.ports.records import Account
from keyhall.stores.accounts.tables import sign_ins
from keyhall.stores.tables import accounts, keys, members, organizations, projects

_QUERY = select(
    accounts.c.id, accounts.c.name, accounts.c.email, accounts.c.created_at_us, sign_ins
).select_from(accounts.outerjoin(sign_ins, sign_ins.c.account_id == accounts.c.id))


def _sign_in(row: RowMapping) -> SignIn:
    return SignIn(
        account=Account(row["id"], row["name"], row["email"], row["created_at_us"]),
        has_password=row["password"] is not None,
        is_operator=bool(row["is_operator"]),
        has_totp=row["totp_at_us"] is not None,
        email_verified_at_us=row["email_verified_at_us"],
        suspended_at_us=row["suspended_at_us"],
        terms_version=row["terms_version"],
        last_seen_us=row["last_seen_us"],
    )


async def find(connection: AsyncConnection, account_id: str) -> SignIn | None:
    return await _first(connection, _QUERY.where(accounts.c.id == account_id))


async def by_email(connection: AsyncConnection, email: str) -> SignIn | None:
    return await _first(connection, _QUERY.where(accounts.c.email == email))


async def of_emails(connection: AsyncConnection, emails: Sequence[str]) -> list[SignIn]:
    query = _QUERY.where(accounts.c.email.in_(emails))
    return [_sign_in(row) for row in (await connection.execute(query)).mappings()]


async def _first(connection: AsyncConnection, query: Select[Any]) -> SignIn | None:
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _sign_in(row)


async def has_any(connection: AsyncConnection) -> bool:
    """Whether anybody can sign in yet."""
    query = select(sign_ins.c.account_id).where(sign_ins.c.password.is_not(None)).limit(1)
    return await connection.scalar(query) is not None


async def add_sign_in(
    connection: AsyncConnection,
    account_id: str,
    *,
    password: str | None,
    now_us: int,
    is_operator: bool = False,
    email_verified_at_us: int | None = None,
    terms_version: str | None = None,
) -> None:
    await connection.execute(
        insert(sign_ins).values(
            account_id=account_id,
            password=password,
            password_at_us=now_us,
            is_operator=int(is_operator),
            email_verified_at_us=email_verified_at_us,
            terms_version=terms_version,
            terms_at_us=None if terms_version is None else now_us,
            totp_step=0,
            preferences="{}",
        )
    )


async def set_fields(connection: AsyncConnection, account_id: str, **fields: Any) -> None:
    """Change columns of a sign-in."""
    changed = update(sign_ins).where(sign_ins.c.account_id == account_id)
    await connection.execute(changed.values(**fields))


async def ensure_sign_in(connection: AsyncConnection, account_id: str, now_us: int) -> None:
    """A row to change, for an account that never could sign in."""
    query = select(sign_ins.c.account_id).where(sign_ins.c.account_id == account_id)
    if await connection.scalar(query) is None:
        await add_sign_in(connection, account_id, password=None, now_us=now_us)


async def use_step(connection: AsyncConnection, account_id: str, step: int) -> bool:
    """Note that a code's step was used; False if it, or a later one, was used already."""
    used = (
        update(sign_ins)
        .where(sign_ins.c.account_id == account_id, sign_ins.c.totp_step < step)
        .values(totp_step=step)
    )
    return (await connection.execute(used)).rowcount == 1


async def forget_sign_in(connection: AsyncConnection, account_id: str) -> None:
    """Nobody signs in with this account any more."""
    await connection.execute(delete(sign_ins).where(sign_ins.c.account_id == account_id))


async def rename(
    connection: AsyncConnection, account_id: str, *, name: str, email: str | None
) -> None:
    changed = update(accounts).where(accounts.c.id == account_id)
    await connection.execute(changed.values(name=name, email=email))


async def password_of(connection: AsyncConnection, account_id: str) -> str | None:
    """The hash: for comparing, and for nothing else."""
    query = select(sign_ins.c.password).where(sign_ins.c.account_id == account_id)
    return await connection.scalar(query)


async def second_factor(
    connection: AsyncConnection, account_id: str
) -> tuple[bytes | None, int | None, int, tuple[str, ...]]:
    """The encrypted secret, when it was confirmed, the last step used, digests of codes left."""
    columns = (
        sign_ins.c.totp,
        sign_ins.c.totp_at_us,
        sign_ins.c.totp_step,
        sign_ins.c.recovery_codes,
    )
    query = select(*columns).where(sign_ins.c.account_id == account_id)
    row = (await connection.execute(query)).first()
    if row is None:
        return None, None, 0, ()
    codes = () if row[3] is None else tuple(msgspec.json.decode(row[3], type=list[str]))
    return row[0], row[1], row[2], codes


async def forget_second_factor(connection: AsyncConnection, account_id: str) -> None:
    """The last step that was used stays: it is good once whatever happens."""
    await set_fields(connection, account_id, totp=None, totp_at_us=None, recovery_codes=None)


def stored_codes(digests: Sequence[str]) -> str:
    return msgspec.json.encode(list(digests)).decode()


# --- Members --------------------------------------------------------------------------------------


async def memberships(connection: AsyncConnection, account_id: str) -> tuple[Membership, ...]:
    """Where somebody is a member, longest first."""
    query = (
        select(members.c.organization_id, organizations.c.name, members.c.role)
        .join_from(members, organizations, members.c.organization_id == organizations.c.id)
        .where(members.c.account_id == account_id)
        .order_by(members.c.created_at_us, members.c.organization_id)
    )
    return tuple(Membership(*row) for row in await connection.execute(query))


async def organization_name(connection: AsyncConnection, organization_id: str) -> str | None:
    query = select(organizations.c.name).where(organizations.c.id == organization_id)
    return await connection.scalar(query)


async def role_of(
    connection: AsyncConnection, organization_id: str, account_id: str
) -> Role | None:
    query = select(members.c.role).where(
        members.c.organization_id == organization_id, members.c.account_id == account_id
    )
    found: Role | None = await connection.scalar(query)
    return found


def _members(organization_id: str) -> Select[Any]:
    live = (
        select(func.count())
        .select_from(keys.join(projects, keys.c.project_id == projects.c.id))
        .where(
            keys.c.account_id == accounts.c.id,
            keys.c.revoked_at_us.is_(None),
            projects.c.organization_id == organization_id,
        )
        .scalar_subquery()
    )
    return (
        _QUERY.add_columns(
            members.c.role, members.c.created_at_us.label("since_us"), live.label("live_keys")
        )
        .join(members, members.c.account_id == accounts.c.id)
        .where(members.c.organization_id == organization_id)
        .order_by(members.c.created_at_us, accounts.c.name, accounts.c.id)
    )


async def members_of(
    connection: AsyncConnection,
    organization_id: str,
    limit: int,
    *,
    sought: str = "",
    after: int = 0,
) -> list[Member]:
    """Oldest first, behind the first `after`; with `sought`, those whose name or address holds
    it."""
    query = _members(organization_id).limit(limit).offset(after)
    if sought:
        named = accounts.c.name.icontains(sought, autoescape=True)
        query = query.where(named | accounts.c.email.icontains(sought, autoescape=True))
    return [_member(row) for row in (await connection.execute(query)).mappings()]


async def member(
    connection: AsyncConnection, organization_id: str, account_id: str
) -> Member | None:
    query = _members(organization_id).where(accounts.c.id == account_id)
    row = (await connection.execute(query)).mappings().first()
    return None if row is None else _member(row)


def _member(row: RowMapping) -> Member:
    return Member(_sign_in(row), row["role"], row["since_us"], row["live_keys"])


async def count_members(connection: AsyncConnection, organization_id: str) -> int:
    query = select(func.count()).where(members.c.organization_id == organization_id)
    return await connection.scalar(query) or 0


async def other_operators(connection: AsyncConnection, account_id: str) -> int:
    """Operators besides this one who can sign in."""
    query = select(func.count()).where(
        sign_ins.c.is_operator == 1,
        sign_ins.c.password.is_not(None),
        sign_ins.c.suspended_at_us.is_(None),
        sign_ins.c.account_id != account_id,
    )
    return await connection.scalar(query) or 0


async def list_accounts(connection: AsyncConnection, limit: int) -> list[SignIn]:
    """Oldest first."""
    query = _QUERY.order_by(accounts.c.created_at_us, accounts.c.id).limit(limit)
    return [_sign_in(row) for row in (await connection.execute(query)).mappings()]


async def owners(connection: AsyncConnection, organization_id: str) -> int:
    query = select(func.count()).where(
        members.c.organization_id == organization_id, members.c.role == "owner"
    )
    return await connection.scalar(query) or 0


async def set_role(
    connection: AsyncConnection, organization_id: str, account_id: str, role: Role
) -> None:
    await connection.execute(
        update(members)
        .where(members.c.organization_id == organization_id, members.c.account_id == account_id)
        .values(role=role)
    )


async def remove_member(connection: AsyncConnection, organization_id: str, account_id: str) -> None:
    await connection.execute(
        delete(members).where(
            members.c.organization_id == organization_id, members.c.account_id == account_id
        )
    )
