"""`keyhall quotas credit`: what an organization has paid in advance."""

import os
from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.manage import credit as manage
from keyhall.flows.manage.credit import Balance
from keyhall.policy.keys import ENTROPY_BYTES

NANO = words.NANO_DIGITS


@click.group()
def credit() -> None:
    """Add credit that an organization has paid in advance, and see what is left.

    With its first credit an organization becomes prepaid: what its keys use from then on is taken
    from it, and without any left they are refused. Removing the quota of that credit ends it.
    """


@credit.command("show")
@click.argument("organization")
@options
def show_credit(organization: str, as_json: bool, where: Where) -> None:
    """Show an organization's credits and what is left of them."""
    found = act(where, lambda house: manage.find(house.store, organization, house.now_us))
    if as_json:
        show.as_json(json_of(found))
        return
    if found.credits:
        zone = found.standing.quota.zone if found.standing else None
        show.table(
            ("Added" if zone else "Added (UTC)", ("Amount", "right"), ("Note", "wrap")),
            [
                (
                    words.when_in(each.at_us, zone) if zone else words.when(each.at_us),
                    words.money(each.amount_nano, NANO),
                    each.note,
                )
                for each in found.credits
            ],
        )
        show.line()
    show.line(_says(found))


@credit.command()
@click.argument("organization")
@click.argument("amount", type=words.MoneyType())
@click.option("--note", default="", help="What it is for, such as an invoice's number.")
@options
def add(organization: str, amount: int, note: str, as_json: bool, where: Where) -> None:
    """Add AMOUNT of the currency, such as 100 or 12.50, to what an organization may use."""
    _add(where, as_json, organization, amount, note)


@credit.command()
@click.argument("organization")
@click.argument("amount", type=words.MoneyType())
@click.option("--note", default="", help="Why.")
@options
def take(organization: str, amount: int, note: str, as_json: bool, where: Where) -> None:
    """Take AMOUNT back, at most what is left: a correction or a refund."""
    _add(where, as_json, organization, -amount, note)


def _add(where: Where, as_json: bool, organization: str, amount_nano: int, note: str) -> None:
    async def work(house: House) -> Balance:
        entropy = os.urandom(ENTROPY_BYTES)
        return await manage.add(
            house.store, organization, amount_nano, note, entropy=entropy, **house.by
        )

    found = act(where, work)
    if as_json:
        show.as_json(json_of(found))
        return
    did = "Added" if amount_nano > 0 else "Took back"
    show.line(f"{did} {words.money(abs(amount_nano), NANO)}. {_says(found)}")


def _says(found: Balance) -> str:
    named = f"{found.organization.id} ({found.organization.name})"
    standing = found.standing
    if standing is None:
        return f"{named} is not prepaid: `keyhall quotas credit add` makes it so."
    left = words.money(standing.remaining, NANO)
    of = words.money(standing.quota.amount, NANO)
    since = words.when_in(standing.quota.created_at_us, standing.quota.zone)
    return f"{named} has {left} left of {of}, counted since {since}."


def json_of(found: Balance) -> dict[str, Any]:
    standing = found.standing
    return {
        "organization": found.organization.id,
        "quota": None if standing is None else standing.quota.id,
        "since": None if standing is None else words.stamp(standing.quota.created_at_us),
        "amount_nano": None if standing is None else standing.quota.amount,
        "used_nano": None if standing is None else standing.used,
        "held_nano": None if standing is None else standing.held,
        "left_nano": None if standing is None else standing.remaining,
        "credits": [
            {"at": words.stamp(each.at_us), "amount_nano": each.amount_nano, "note": each.note}
            for each in found.credits
        ],
    }
