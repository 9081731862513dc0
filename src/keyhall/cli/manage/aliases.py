"""`keyhall aliases`: the names that callers use, and which version each means."""

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.manage import versions as manage
from keyhall.ports.records import Alias
from keyhall.stores import catalogue as rows


@click.group()
def aliases() -> None:
    """Show and move the names that callers use."""


@aliases.command("list")
@options
def list_aliases(as_json: bool, where: Where) -> None:
    """List aliases and the versions they mean."""

    async def work(house: House) -> list[Alias]:
        async with house.store.reading() as connection:
            return await rows.list_aliases(connection)

    found = act(where, work)
    if as_json:
        show.as_json(
            [
                {
                    "name": alias.name,
                    "version": alias.version,
                    "moved_at": words.stamp(alias.moved_at_us),
                    "fallbacks": list(alias.fallbacks),
                }
                for alias in found
            ]
        )
        return
    show.table(
        ("Alias", "Version", "Since (UTC)", ("Falls back to", "wrap")),
        [
            (
                alias.name,
                alias.version,
                words.when(alias.moved_at_us),
                ", ".join(alias.fallbacks),
            )
            for alias in found
        ],
    )


@aliases.command()
@click.argument("alias")
@click.argument("version")
@options
def move(alias: str, version: str, as_json: bool, where: Where) -> None:
    """Make ALIAS mean VERSION from the next request on; a new alias is made."""
    now, before = act(
        where, lambda house: manage.move_alias(house.store, alias, version, **house.by)
    )
    meant = before.version if before else None
    if as_json:
        show.as_json({"name": now.name, "version": now.version, "before": meant})
    elif meant == now.version:
        show.line(f"{now.name} means {now.version} already.")
    else:
        show.line(f"{now.name} now means {now.version} (before: {meant or 'nothing'}).")


@aliases.command()
@click.argument("alias")
@click.argument("versions", metavar="[VERSION]...", nargs=-1)
@click.option("--none", "is_none", is_flag=True, help="Nobody answers instead.")
@options
def fallback(
    alias: str, versions: tuple[str, ...], is_none: bool, as_json: bool, where: Where
) -> None:
    """Say which VERSIONs answer for ALIAS while its own version's engine cannot, in this order.

    Only requests of which nothing was answered yet go there, and only if what is held for them
    covers it. They say so in the header x-keyhall-fallback.
    """
    if is_none == bool(versions):
        raise click.UsageError("Name the versions that answer instead, or say --none.")
    now = act(where, lambda house: manage.set_fallbacks(house.store, alias, versions, **house.by))
    if as_json:
        show.as_json({"name": now.name, "version": now.version, "fallbacks": list(now.fallbacks)})
    elif now.fallbacks:
        show.line(f"{now.name} means {now.version} and falls back to {', '.join(now.fallbacks)}.")
    else:
        show.line(f"{now.name} means {now.version} and falls back to nobody.")
