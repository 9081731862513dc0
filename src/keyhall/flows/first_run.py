"""The first run: what a hall needs before its first request, made once (R10, R15).

An account, an organization without limits, a project, the embedded versions with their aliases,
and one key. Every part is made only if it is missing, so each later start finds all of it and
changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.flows.manage import keys as manage_keys
from keyhall.flows.manage.checks import Refused
from keyhall.policy import keys as form
from keyhall.policy.catalogue import Price, Sampling, Version
from keyhall.policy.secrets import Secret
from keyhall.policy.tiers import BUILT_IN, Tier
from keyhall.ports.records import Account, Actor, Organization, Project
from keyhall.stores import catalogue, grants, keys, notes, organizations
from keyhall.stores.pepper import FILE as PEPPER_FILE
from keyhall.stores.pepper import find_peppers
from keyhall.stores.sql import SqlStore

FREE = Price(0, 0)
START = Actor("keyhall", "start")
SCRIPTS = (
    "slow",
    "long",
    "error-500-then-ok",
    "cut-mid-stream",
    "429",
    "content-filter",
    "silence",
)
VERSIONS = (
    ("v1-sandbox-1", "sandbox", Sampling(temperature=0.7, top_p=1.0)),
    (
        "v1.1-sandbox-1",
        "sandbox",
        Sampling(temperature=0.7, top_p=1.0, frequency_penalty=0.3, presence_penalty=0.2),
    ),
    *((f"sandbox/{script}", script, Sampling()) for script in SCRIPTS),
)
ALIASES = {
    "v1": "v1-sandbox-1",
    "v1.1": "v1.1-sandbox-1",
    "keyhall-v1": "v1-sandbox-1",
    "keyhall-v1.1": "v1.1-sandbox-1",
}
SHOWN_KEYS_MAX = 10

_MARK = "pepper"

Draw = Callable[[int], bytes]  # so many random bytes


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What start-up shows. `key` is there only once: when it is made."""

    key: Secret | None
    masked_keys: tuple[str, ...]  # of keys in use, newest first, at most SHOWN_KEYS_MAX


class PepperLost(Refused):
    """The database's keys were made with a pepper that is not here."""


async def prepare(
    store: SqlStore, peppers: Sequence[bytes], now_us: int, random_bytes: Draw
) -> FirstRun:
    """Make what is missing, with a first key if there never was one."""
    async with store.writing() as connection:
        project = await _house(connection, peppers, now_us, random_bytes)
        key = await _first_key(connection, project, peppers[0], now_us, random_bytes)
        shown = await keys.newest(
            connection, project_id=None, usable_at_us=now_us, limit=SHOWN_KEYS_MAX
        )
    return FirstRun(key, tuple(key.masked for key in shown))


async def prepare_without_key(
    store: SqlStore, peppers: Sequence[bytes], now_us: int, random_bytes: Draw
) -> None:
    """What commands need that come before the first start. Costs one query if all is there."""
    async with store.reading() as connection:
        mark = await notes.fact(connection, _MARK)
    if mark is not None and mark in map(form.pepper_mark, peppers):
        return
    async with store.writing() as connection:
        await _house(connection, peppers, now_us, random_bytes)


async def _house(
    connection: AsyncConnection, peppers: Sequence[bytes], now_us: int, random_bytes: Draw
) -> Project:
    await _know_pepper(connection, peppers)
    found = await organizations.default_project(connection)
    if found is not None:
        return found
    ids = [form.draw(random_bytes(form.ENTROPY_BYTES), form.ID_LENGTH) for _ in range(3)]
    account = Account(f"acct_{ids[0]}", "Operator", None, now_us)
    organization = Organization(f"org_{ids[1]}", "Default organization", now_us)
    project = Project(f"proj_{ids[2]}", organization.id, "Default project", now_us)
    await organizations.add_account(connection, account)
    await organizations.add_organization(connection, organization)
    await organizations.add_member(connection, organization.id, account.id, "owner", now_us)
    await organizations.add_project(connection, project)
    await organizations.set_default_project(connection, project.id)
    for action, made in (
        ("account.create", account),
        ("organization.create", organization),
        ("project.create", project),
    ):
        await notes.record(
            connection, START, now_us, action=action, target=made.id, before=None, after=made
        )
    await _embedded_versions(connection, now_us)
    return project


async def _know_pepper(connection: AsyncConnection, peppers: Sequence[bytes]) -> None:
    """Refuse a pepper that the keys were not made with: it would refuse every caller."""
    mark = await notes.fact(connection, _MARK)
    if mark is None:
        await notes.set_fact(connection, _MARK, form.pepper_mark(peppers[-1]))
    else:
        _check_mark(mark, peppers)


async def peppers_of(store: SqlStore, given: str, folder: Path) -> tuple[bytes, ...]:
    """What keys are digested with, newest first: what the settings give, else the folder's file,
    which the first start makes. Raises PepperLost, PepperRefused."""
    if not given and not (folder / PEPPER_FILE).exists():  # Before another is made: is one missing?
        await check_pepper(store, ())
    return find_peppers(given, folder)


async def check_pepper(store: SqlStore, peppers: Sequence[bytes]) -> None:
    """Raises PepperLost. Writes nothing."""
    async with store.reading() as connection:
        mark = await notes.fact(connection, _MARK)
    if mark is not None:
        _check_mark(mark, peppers)


def _check_mark(mark: str, peppers: Sequence[bytes]) -> None:
    if mark not in map(form.pepper_mark, peppers):
        raise PepperLost(
            "The pepper in the data folder is missing, or not the one that this database's keys "
            "were made with, so that no key would work. Restore the file `pepper` from the backup "
            "that belongs to this database; on another machine, copy it or set "
            "KEYHALL_KEYS_PEPPER as on the first."
        )


async def _embedded_versions(connection: AsyncConnection, now_us: int) -> None:
    there = await catalogue.load(connection)
    for name, engine_model, sampling in VERSIONS:
        if name not in there.versions:
            version = Version(
                number=0,
                name=name,
                engine="sandbox",
                engine_model=engine_model,
                created_at_us=now_us,
                sampling=sampling,
                price=FREE,
            )
            await catalogue.enter_version(connection, version, START, now_us)
    for alias, version_name in ALIASES.items():
        if alias not in there.aliases:
            await catalogue.aim(connection, alias, version_name, START, now_us)


async def _first_key(
    connection: AsyncConnection,
    project: Project,
    pepper: bytes,
    now_us: int,
    random_bytes: Draw,
) -> Secret | None:
    if await keys.newest(connection, project_id=None, usable_at_us=None, limit=1):
        return None
    fresh = await manage_keys.make(
        connection,
        manage_keys.NewKey("first key"),
        project,
        pepper,
        random_bytes(form.ENTROPY_BYTES),
        START,
        now_us,
    )
    return fresh.text


async def sync_tiers(store: SqlStore, own: Mapping[str, Tier], now_us: int) -> dict[str, Tier]:
    """The built-in tiers and the operator's own; the database learns of them, and the audit of
    what changed since the last start."""
    wanted = {**BUILT_IN, **own}
    async with store.reading() as connection:
        if await grants.load_tiers(connection) == wanted:
            return wanted
    async with store.writing() as connection:
        known = await grants.load_tiers(connection)
        await grants.replace_tiers(connection, wanted)
        for name in sorted(known.keys() | wanted.keys()):
            before, after = known.get(name), wanted.get(name)
            if before != after:
                await notes.record(
                    connection,
                    START,
                    now_us,
                    action="tier.declare",
                    target=name,
                    before=before,
                    after=after,
                    changed="tier",
                )
    return wanted
