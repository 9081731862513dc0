"""`keyhall review`: answers that people look at. ITEM is a review's id: rev_ and 32 digits."""

from pathlib import Path
from typing import Any, get_args

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.manage.review import learned, text
from keyhall.cli.manage.review.opening import desk_of
from keyhall.cli.manage.review.rules import rules, webhook
from keyhall.cli.options import fail
from keyhall.flows.filters.operators import filters_of
from keyhall.flows.manage.checks import Refused
from keyhall.flows.manage.organizations import organization_by
from keyhall.flows.review import deciding, looking
from keyhall.flows.review.deciding import Opinion
from keyhall.flows.review.looking import View
from keyhall.policy.review.judging import DECISIONS, SCORE_MAX, SCORE_MIN
from keyhall.ports.content import Unreadable
from keyhall.ports.review import Item
from keyhall.stores import organizations
from keyhall.stores.content.sealing import Vault
from keyhall.stores.review import items
from keyhall.stores.review.items import Which

LISTED = 50


@click.group()
def review() -> None:
    """List, claim and decide answers that people look at; say which, and what is learned.

    Which answers enter is a project's rule: `keyhall review rules PROJECT`.
    """


review.add_command(rules)
review.add_command(webhook)
review.add_command(learned.work)
review.add_command(learned.export)


async def _owners(house: House, wanted: str | None) -> list[str]:
    """The organizations that are meant: one, or all."""
    async with house.store.reading() as connection:
        if wanted is None:
            return [each.id for each in await organizations.list_organizations(connection, 1_000)]
        return [(await organization_by(connection, wanted)).id]


@review.command("list")
@click.option(
    "--which",
    type=click.Choice(get_args(Which)),
    default="open",
    show_default=True,
    help="Which ones.",
)
@click.option("--organization", metavar="ORGANIZATION", help="Only this one's; id or name.")
@click.option(
    "--limit", default=LISTED, show_default=True, type=click.IntRange(1), help="At most so many."
)
@options
def list_items(
    which: Any, organization: str | None, limit: int, as_json: bool, where: Where
) -> None:
    """List items, the most urgent first: whose they are and why, not what was said."""

    async def work(house: House) -> list[Item]:
        found: list[Item] = []
        who = house.by["actor"].who
        owners = await _owners(house, organization)
        async with house.store.reading() as connection:
            for owner in owners:
                found += await items.queue(connection, owner, which=which, who=who, limit=limit)
        return found[:limit]

    found = act(where, work)
    if as_json:
        show.as_json([text.json_of(each) for each in found])
        return
    if not found:
        show.line("Nothing waits for a review." if which == "open" else "There is none.")
        return
    show.table(
        ("Item", "State", ("Why", "wrap"), "Caller", "Version", "Deadline (UTC)"),
        [
            (
                each.id,
                each.outcome or each.state,
                ", ".join(each.reasons),
                "waits" if each.is_held else "",
                each.version,
                words.when(each.deadline_us),
            )
            for each in found
        ],
    )


@review.command("show")
@click.argument("item")
@options
def show_item(item: str, as_json: bool, where: Where) -> None:
    """Show an item, and what was said if you have claimed it or it is over. The look is in the
    audit."""

    async def work(house: House) -> View:
        desk = desk_of(house)
        async with house.store.reading() as connection:
            found = await deciding.find(connection, None, item)
        try:
            return await looking.look(desk, Vault(house.peppers), found, **house.by)
        except Unreadable as error:
            raise Refused(str(error)) from None

    view = act(where, work)
    if as_json:
        show.as_json(text.view_json(view))
    else:
        text.describe(view)


@review.command()
@click.argument("item")
@options
def claim(item: str, as_json: bool, where: Where) -> None:
    """Take an item for 15 minutes."""
    _done(act(where, lambda house: deciding.claim(desk_of(house), None, item, **house.by)), as_json)


@review.command()
@click.argument("item")
@options
def skip(item: str, as_json: bool, where: Where) -> None:
    """Give an item back."""
    _done(act(where, lambda house: deciding.skip(desk_of(house), None, item, **house.by)), as_json)


@review.command()
@click.argument("item")
@click.argument("decision", type=click.Choice(DECISIONS))
@click.option(
    "--score", required=True, type=click.IntRange(SCORE_MIN, SCORE_MAX), help="What it is worth."
)
@click.option(
    "--text",
    "path",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="With edit: the corrected answer; - is standard input.",
)
@click.option("--note", default="", help="For other reviewers.")
@options
def decide(
    item: str,
    decision: Any,
    score: int,
    path: Path | None,
    note: str,
    as_json: bool,
    where: Where,
) -> None:
    """Say what becomes of an item that you have claimed: release, edit or refuse."""
    if (path is not None) != (decision == "edit"):
        raise click.UsageError("--text belongs to edit, and edit needs it.")
    corrected = None if path is None else _read(path)

    async def work(house: House) -> Item:
        opinion = Opinion(decision, score, corrected, note)
        filters = await filters_of(house.store, house.config.filter)
        return await deciding.review(desk_of(house, filters), None, item, opinion, **house.by)

    _done(act(where, work), as_json)


def _read(path: Path) -> str:
    try:
        with click.open_file(str(path), encoding="utf-8") as file:
            return str(file.read())
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.")


@review.command()
@options
def undo(as_json: bool, where: Where) -> None:
    """Take back your last decision, for ten seconds."""
    _done(act(where, lambda house: deciding.undo(desk_of(house), None, **house.by)), as_json)


def _done(item: Item, as_json: bool) -> None:
    if as_json:
        show.as_json(text.json_of(item))
    else:
        show.line(f"{item.id}: {item.outcome or item.state}")
