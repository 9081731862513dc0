"""`keyhall keys`: a key's life, from its creation to its revocation.

KEY is an id (`key_...`), the 12 characters in it, or a name that only one key in use has.
"""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from keyhall.cli.manage import key_text, show, words
from keyhall.cli.manage.leaks.leaked import leaked
from keyhall.cli.manage.leaks.notices import notices
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.options import unshown
from keyhall.flows.content.retention import InForce, in_force, set_for_key
from keyhall.flows.manage import keys as manage
from keyhall.flows.manage.organizations import find_project
from keyhall.policy.keys import ENTROPY_BYTES
from keyhall.policy.limits import NO_LIMITS
from keyhall.ports.records import Key
from keyhall.stores import keys as rows

LISTED = 50


@click.group()
def keys() -> None:
    """Create, list, restrict, rotate, pause and revoke API keys.

    KEY is a key's id, the 12 characters in it, or its name if only one key in use has it.
    """


keys.add_command(leaked)
keys.add_command(notices)


@keys.command()
@click.option("--name", required=True, help="What the key is for; one key per application.")
@click.option("--tier", default="free-trial", show_default=True, help="`keyhall tiers` lists them.")
@click.option("--project", metavar="PROJECT", help="Id or name.  [the first project]")
@click.option("--test", is_flag=True, help="A test key: answered by the sandbox, costs nothing.")
@click.option("--admin", is_flag=True, help="For /metrics, not for models; ends after 90 days.")
@click.option("--expires", type=words.MomentType(), help="30d, or a date (UTC).  [never]")
@click.option("--models", metavar="A,B*", help="Only these models; * for any characters.")
@click.option("--endpoints", metavar="chat,models", help="Only these endpoints.")
@click.option("--ip", multiple=True, metavar="CIDR", help="Only from here; may be repeated.")
@click.option("--retention", metavar="none|7d", type=words.RetentionType("project"),
              help="How long what it says is kept.  [as its project]")  # fmt: skip
@words.limit_options
@options
def create(
    name: str,
    tier: str,
    project: str | None,
    test: bool,
    admin: bool,
    expires: words.Moment | None,
    models: str | None,
    endpoints: str | None,
    ip: tuple[str, ...],
    retention: words.NoneOr | None,
    rpm: words.NoneOr | None,
    tpm: words.NoneOr | None,
    in_flight: words.NoneOr | None,
    as_json: bool,
    where: Where,
) -> None:
    """Make a key and show it, once."""
    if test and admin:
        raise click.UsageError("A key is either a test key or an admin key.")
    for option, text in (("--models", models), ("--endpoints", endpoints)):
        if words.listed(text) == ():
            raise click.UsageError(f"{option} is empty: give names, or leave the option out.")

    async def work(house: House) -> manage.Fresh:
        new = manage.NewKey(
            name=name,
            mode="test" if test else "admin" if admin else "live",
            tier=tier,
            project=project,
            expires_at_us=expires.after(house.now_us) if expires else None,
            models=words.listed(models),
            endpoints=words.listed(endpoints),
            networks=ip or None,
            limits=words.changed_limits(NO_LIMITS, rpm, tpm, in_flight),
            retention_days=retention[0] if retention else None,
        )
        return await manage.create(
            house.store,
            new,
            tiers=house.tiers,
            pepper=house.peppers[0],
            entropy=os.urandom(ENTROPY_BYTES),
            **house.by,
        )

    fresh = act(where, work, prepares=True)
    with _seen(where, fresh):
        if as_json:
            show.as_json(key_text.fresh_json(fresh, now_us=fresh.key.created_at_us))
        else:
            show.line(f"Created {key_text.named(fresh.key)}: {key_text.summary(fresh.key)}.")
            key_text.shown_once(fresh)


@contextmanager
def _seen(where: Where, fresh: manage.Fresh, then: str = "") -> Iterator[None]:
    """A key that could not be shown is good for nobody: it is revoked. `then`: what follows.

    A pipe whose reader has left is no reason: it may have read the key and enough.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        key = fresh.key.id
        reason = "it could not be shown when it was made"
        act(where, lambda house: manage.revoke(house.store, key, reason=reason, **house.by))
        unshown(error, f" Nobody saw the key, so {key} was revoked.{then}")


@keys.command("list")
@click.option("--project", metavar="PROJECT", help="Only this project's; id or name.")
@click.option("--all", "with_ended", is_flag=True, help="Revoked and expired keys too.")
@click.option(
    "--limit", default=LISTED, show_default=True, type=click.IntRange(1), help="At most so many."
)
@options
def list_keys(
    project: str | None, with_ended: bool, limit: int, as_json: bool, where: Where
) -> None:
    """List keys, newest first."""

    async def work(house: House) -> tuple[list[Key], int, int, int]:
        chosen = None if project is None else (await find_project(house.store, project)).id
        usable = None if with_ended else house.now_us
        async with house.store.reading() as connection:
            found = await rows.newest(
                connection, project_id=chosen, usable_at_us=usable, limit=limit
            )
            every = await rows.count(connection, project_id=chosen, usable_at_us=None)
            in_use = await rows.count(connection, project_id=chosen, usable_at_us=usable)
        return found, in_use - len(found), every - in_use, house.now_us

    found, beyond, ended, now_us = act(where, work)
    if as_json:
        show.as_json([key_text.json_of(key, now_us) for key in found])
        return
    if found:
        key_text.listed(found, now_us)
    else:
        show.line("No keys. `keyhall keys create --name NAME` makes one.")
    if beyond:
        show.line(f"\n{words.counted(beyond, 'more key')}: --limit {limit + beyond} shows all.")
    if ended:
        show.line(f"\n{words.counted(ended, 'key')} revoked or expired: --all shows them too.")


@keys.command("show")
@click.argument("key")
@options
def show_key(key: str, as_json: bool, where: Where) -> None:
    """Show everything about a key but its secret."""

    async def work(house: House) -> tuple[Key, Key | None, Key | None, int]:
        found = await manage.find(house.store, key, house.now_us)
        return found, *await manage.lineage(house.store, found), house.now_us

    found, before, after, now_us = act(where, work)
    if as_json:
        rotated = {"rotated_to": after.id if after else None}
        show.as_json({**key_text.json_of(found, now_us), **rotated})
    else:
        key_text.described(found, before, after, now_us)


def _changed(
    where: Where, as_json: bool, work: Callable[[House], Awaitable[Key]], says: Callable[[Key], str]
) -> None:
    """Run an act on one key and say what it did."""

    async def timed(house: House) -> tuple[Key, int]:
        return await work(house), house.now_us

    key, now_us = act(where, timed)
    if as_json:
        show.as_json(key_text.json_of(key, now_us))
    else:
        show.line(says(key))


@keys.command()
@click.argument("key")
@click.argument("name")
@options
def rename(key: str, name: str, as_json: bool, where: Where) -> None:
    """Give a key another name."""
    _changed(
        where,
        as_json,
        lambda house: manage.rename(house.store, key, name, **house.by),
        lambda found: f"{found.id} is now called {found.name}.",
    )


@keys.command()
@click.argument("key")
@options
def pause(key: str, as_json: bool, where: Where) -> None:
    """Refuse a key's new requests until it is resumed."""
    _changed(
        where,
        as_json,
        lambda house: manage.pause(house.store, key, **house.by),
        lambda found: f"Paused {key_text.named(found)}. Running answers finish; "
        f"`keyhall keys resume {found.id}` ends the pause.",
    )


@keys.command()
@click.argument("key")
@options
def resume(key: str, as_json: bool, where: Where) -> None:
    """End a key's pause."""
    _changed(
        where,
        as_json,
        lambda house: manage.resume(house.store, key, **house.by),
        lambda found: f"Resumed {key_text.named(found)}.",
    )


@keys.command()
@click.argument("key")
@click.option("--reason", help="For the audit, and for whoever asks later.")
@options
def revoke(key: str, reason: str | None, as_json: bool, where: Where) -> None:
    """End a key for good. Its running answers are cut."""
    _changed(
        where,
        as_json,
        lambda house: manage.revoke(house.store, key, reason=reason, **house.by),
        lambda found: f"Revoked {key_text.named(found)} for good. A running server refuses it "
        "within a second and cuts its streams.",
    )


@keys.command()
@click.argument("key")
@click.option("--at", "moment", required=True, type=words.MomentType(or_never=True),
              help="30d, 0 for now, a date (UTC), or never.")  # fmt: skip
@options
def expire(key: str, moment: words.Moment, as_json: bool, where: Where) -> None:
    """Set the end of a key's life, or remove it."""
    _changed(
        where,
        as_json,
        lambda house: manage.expire(house.store, key, moment.after(house.now_us), **house.by),
        lambda found: f"{key_text.named(found)} never expires."
        if found.expires_at_us is None
        else f"{key_text.named(found)} expires on {words.when(found.expires_at_us)} UTC.",
    )


@keys.command()
@click.argument("key")
@click.option("--overlap", default="24h", show_default=True, type=words.SpanType(),
              help="How long the old key still works: 0 to 7d.")  # fmt: skip
@options
def rotate(key: str, overlap: int, as_json: bool, where: Where) -> None:
    """Replace a key by a new one with the same rights and limits, and show that once."""

    async def work(house: House) -> tuple[manage.Fresh, Key]:
        return await manage.rotate(
            house.store,
            key,
            overlap_us=overlap,
            pepper=house.peppers[0],
            entropy=os.urandom(ENTROPY_BYTES),
            **house.by,
        )

    fresh, old = act(where, work)
    ended = old.state(fresh.key.created_at_us) == "expired"
    works = "no longer works" if ended else f"works until {words.when(old.expires_at_us)} UTC"
    then = f" The old key {works}: `keyhall keys expire {old.id} --at never` keeps it."
    with _seen(where, fresh, then):
        if as_json:
            now_us = fresh.key.created_at_us
            replaced = {"id": old.id, "expires_at": words.stamp(old.expires_at_us)}
            show.as_json({**key_text.fresh_json(fresh, now_us), "replaces": replaced})
            return
        show.line(f"Created {key_text.named(fresh.key)}, the successor of {old.id}.")
        key_text.shown_once(fresh)
        show.line(f"The old key {works}. Both share one set of limits.")


@keys.command()
@click.argument("key")
@click.option("--tier", help="`keyhall tiers` lists them.")
@words.limit_options
@options
def limits(
    key: str,
    tier: str | None,
    rpm: words.NoneOr | None,
    tpm: words.NoneOr | None,
    in_flight: words.NoneOr | None,
    as_json: bool,
    where: Where,
) -> None:
    """Change a key's tier or its own limits; `keyhall limits KEY` explains the result."""
    if (tier, rpm, tpm, in_flight) == (None, None, None, None):
        raise click.UsageError("Say what to change: --tier, --rpm, --tpm or --in-flight.")
    _changed(
        where,
        as_json,
        lambda house: manage.set_limits(
            house.store,
            key,
            lambda now: words.changed_limits(now, rpm, tpm, in_flight),
            tier=tier,
            tiers=house.tiers,
            **house.by,
        ),
        lambda found: f"{key_text.named(found)}: {key_text.own_limits(found)}. "
        f"`keyhall limits {found.id}` explains what is in force.",
    )


@keys.command()
@click.argument("key")
@click.option("--models", metavar="A,B*", help="Only these models, or all.")
@click.option("--endpoints", metavar="chat,models", help="Only these endpoints, or all.")
@options
def scopes(
    key: str, models: str | None, endpoints: str | None, as_json: bool, where: Where
) -> None:
    """Change which models and endpoints a key is good for."""
    if models is None and endpoints is None:
        raise click.UsageError("Say what to change: --models or --endpoints.")
    given: dict[str, Any] = {
        name: None if text == "all" else words.listed(text)
        for name, text in (("models", models), ("endpoints", endpoints))
        if text is not None
    }
    _changed(
        where,
        as_json,
        lambda house: manage.set_scopes(
            house.store, key, lambda now: replace(now, **given), **house.by
        ),
        lambda found: f"{key_text.named(found)}: {key_text.scopes(found)}.",
    )


@keys.command()
@click.argument("key")
@click.argument("days", metavar="none|30d|project", type=words.RetentionType("project"))
@options
def retention(key: str, days: words.NoneOr, as_json: bool, where: Where) -> None:
    """Set how long is kept what KEY says and is answered; never longer than its project says."""

    async def work(house: House) -> tuple[Key, InForce, int]:
        found = await set_for_key(house.store, key, days[0], **house.by)
        bound = house.config.privacy.retention_days_max
        return found, await in_force(house.store, found, bound), house.now_us

    found, now, now_us = act(where, work)
    if as_json:
        show.as_json({**key_text.json_of(found, now_us), "retention_in_force_days": now.days})
    else:
        show.line(f"{key_text.named(found)} keeps {now.explain()}.")


@keys.command()
@click.argument("key")
@click.option("--ip", multiple=True, metavar="CIDR", help="Only from here; may be repeated.")
@click.option("--any", "anywhere", is_flag=True, help="From everywhere again.")
@options
def networks(key: str, ip: tuple[str, ...], anywhere: bool, as_json: bool, where: Where) -> None:
    """Change from which addresses a key may be used."""
    if bool(ip) == anywhere:
        raise click.UsageError("Give --ip once or more, or --any.")
    _changed(
        where,
        as_json,
        lambda house: manage.set_scopes(
            house.store, key, lambda now: replace(now, networks=ip or None), **house.by
        ),
        lambda found: f"{key_text.named(found)} may be used from "
        f"{words.some(found.networks, 'everywhere')}.",
    )
