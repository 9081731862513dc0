"""`keyhall asks`: holders who ask for higher limits. NUMBER is the ask's."""

from typing import Any, get_args

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.manage import asks as manage
from keyhall.flows.manage.asks import Given
from keyhall.policy.limits import Limits
from keyhall.ports.people import Ask, AskState
from keyhall.stores.operate.asks import wanted_of


@click.group()
def asks() -> None:
    """List, grant and decline what holders ask for."""


def json_of(ask: Ask) -> dict[str, Any]:
    return {
        "number": ask.number,
        "state": ask.state,
        "organization": ask.organization_id,
        "account": ask.account_id,
        "key": ask.key_id,
        "wanted": wanted_of(ask),
        "why": ask.why,
        "asked_at": words.stamp(ask.asked_at_us),
        "answered_by": ask.answered_by,
        "answer": ask.answer,
        "answered_at": words.stamp(ask.answered_at_us),
    }


@asks.command("list")
@click.option(
    "--state",
    type=click.Choice([*get_args(AskState), "all"]),
    default="open",
    show_default=True,
    help="Which ones.",
)
@options
def list_asks(state: Any, as_json: bool, where: Where) -> None:
    """List asks: open ones oldest first."""
    wanted: AskState | None = None if state == "all" else state
    found = act(where, lambda house: manage.listed(house.store, wanted))
    if as_json:
        show.as_json([json_of(each) for each in found])
        return
    if not found:
        show.line("Nobody waits for an answer." if state == "open" else "There is none.")
        return
    show.table(
        (("No.", "right"), "State", "For", ("Wanted", "wrap"), ("Why", "wrap"), "Asked (UTC)"),
        [
            (
                str(each.number),
                each.state,
                each.key_id or each.organization_id,
                ", ".join(f"{name} {amount:,}" for name, amount in wanted_of(each).items()),
                each.why,
                words.when(each.asked_at_us),
            )
            for each in found
        ],
    )


@asks.command()
@click.argument("number", type=int)
@words.limit_options
@click.option("--tier", help="Of the key or organization.  [a key keeps its own]")
@click.option("--say", "said", default="", help="A word to whoever asked.")
@options
def grant(
    number: int,
    rpm: words.NoneOr | None,
    tpm: words.NoneOr | None,
    in_flight: words.NoneOr | None,
    tier: str | None,
    said: str,
    as_json: bool,
    where: Where,
) -> None:
    """Set the limits of the key or organization. What is not given is no limit of its own."""
    limits = words.changed_limits(Limits(), rpm, tpm, in_flight)

    async def work(house: House) -> Ask:
        given = Given(limits, tier)
        return await manage.grant(house.store, number, given, said, tiers=house.tiers, **house.by)

    _done(act(where, work), as_json)


@asks.command()
@click.argument("number", type=int)
@click.option("--why", "said", required=True, help="A sentence that whoever asked reads.")
@options
def decline(number: int, said: str, as_json: bool, where: Where) -> None:
    """Say why not."""
    _done(act(where, lambda house: manage.decline(house.store, number, said, **house.by)), as_json)


def _done(ask: Ask, as_json: bool) -> None:
    if as_json:
        show.as_json(json_of(ask))
    else:
        show.line(f"{ask.state.capitalize()} number {ask.number}: {ask.answer}")
