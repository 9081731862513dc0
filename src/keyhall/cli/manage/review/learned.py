"""What is learned of reviews: `keyhall review work` and `export`, `keyhall versions scorecard`."""

from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.manage.review import text
from keyhall.cli.manage.review.opening import desk_of
from keyhall.flows.manage.organizations import organization_by
from keyhall.flows.review import learning
from keyhall.flows.review.learning import Work
from keyhall.ports.review import Scorecard
from keyhall.stores import organizations as owners

DAY_US = 86_400_000_000


async def _owner(house: House, wanted: str | None) -> str:
    async with house.store.reading() as connection:
        if wanted is not None:
            return (await organization_by(connection, wanted)).id
        project = await owners.default_project(connection)
        return "" if project is None else project.organization_id


@click.command()
@click.option("--organization", metavar="ORGANIZATION", help="Id or name.  [the first one]")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1), help="So many back.")
@options
def work(organization: str | None, days: int, as_json: bool, where: Where) -> None:
    """Show who reviews how much, how long it takes, and how far two agree."""

    async def look(house: House) -> Work:
        owner = await _owner(house, organization)
        return await learning.work(house.store, owner, since_us=house.now_us - days * DAY_US)

    found = act(where, look)
    kappa = found.agreement.kappa
    if as_json:
        show.as_json(
            {
                "open": found.open,
                "reviewers": [
                    {
                        "who": each.who,
                        "reviews": each.reviews,
                        "released": each.released,
                        "edited": each.edited,
                        "refused": each.refused,
                        "median_seconds": each.took_us / 1_000_000,
                    }
                    for each in found.loads
                ],
                "pairs": found.agreement.pairs,
                "same": found.agreement.same,
                "kappa": None if kappa is None else float(kappa),
            }
        )
        return
    if not found.loads:
        show.line(f"Nobody reviewed anything in {words.counted(days, 'day')}.")
        return
    show.table(
        (
            "Reviewer",
            ("Reviews", "right"),
            ("Released", "right"),
            ("Edited", "right"),
            ("Refused", "right"),
            ("Half take at most", "right"),
        ),
        [
            (
                each.who,
                f"{each.reviews:,}",
                f"{each.released:,}",
                f"{each.edited:,}",
                f"{each.refused:,}",
                words.span(each.took_us),
            )
            for each in found.loads
        ],
    )
    said = "cannot be said yet" if kappa is None else f"{float(kappa):.2f}"
    pairs, same = words.counted(found.agreement.pairs, "pair"), found.agreement.same
    show.line(f"\nCohen's kappa: {said} ({pairs} of blind reviews, {same} the same)")


@click.command()
@click.option("--organization", metavar="ORGANIZATION", help="Id or name.  [the first one]")
@options
def export(organization: str | None, as_json: bool, where: Where) -> None:
    """Print what people released or corrected as lines of JSON for a fine-tune of chats. Only of
    projects whose rules gave leave; the audit says that you took it."""

    async def take(house: House) -> list[bytes]:
        owner = await _owner(house, organization)
        return [each async for each in learning.exported(desk_of(house), owner, **house.by)]

    for line in act(where, take):
        click.echo(line.decode(), nl=False)


@click.command()
@click.argument("versions", nargs=-1)
@click.option("--organization", metavar="ORGANIZATION", help="Only of this one's answers.")
@click.option("--days", default=30, show_default=True, type=click.IntRange(1), help="So many back.")
@options
def scorecard(
    versions: tuple[str, ...], organization: str | None, days: int, as_json: bool, where: Where
) -> None:
    """Show what callers and reviewers say of VERSIONS, side by side; of all without one."""

    async def look(house: House) -> list[Scorecard]:
        owner = None if organization is None else await _owner(house, organization)
        names: Any = None
        if versions:
            catalogue = await house.store.load_catalogue()
            names = [catalogue.aliases.get(each, each) for each in versions]
        since_us = house.now_us - days * DAY_US
        return await learning.scorecards(
            house.store, since_us=since_us, organization_id=owner, versions=names
        )

    found = act(where, look)
    if as_json:
        show.as_json([text.card_json(each) for each in found])
    elif not found:
        show.line(f"Nobody was answered, or said anything, in {words.counted(days, 'day')}.")
    else:
        text.show_cards(found)
