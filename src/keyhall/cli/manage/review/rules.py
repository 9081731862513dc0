"""`keyhall review rules` and `webhook`: which answers of a project people look at, and where
decisions are told."""

from dataclasses import replace
from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.manage.review import text
from keyhall.flows.manage import organizations as manage
from keyhall.flows.review import rules as flows
from keyhall.flows.review import telling
from keyhall.policy.review.rules import (
    AT_DEADLINES,
    HOLDS,
    PEOPLE_MAX,
    Rules,
)

US = 1_000_000


@click.command()
@click.argument("project")
@click.option("--hold", type=click.Choice(HOLDS), help="Which answers wait for a person.")
@click.option("--flagged/--no-flagged", default=None, help="What the filter flags enters.")
@click.option("--feedback/--no-feedback", default=None, help="Thumbs down enter.")
@click.option("--sample", type=click.FloatRange(0, 100), help="Percent of all answers.")
@click.option("--people", type=click.IntRange(1, PEOPLE_MAX), help="How many decide.")
@click.option("--deadline", type=words.SpanType(), help="Such as 30m, 8h or 2d.")
@click.option("--at-deadline", type=click.Choice(AT_DEADLINES), help="What becomes of it then.")
@click.option("--export/--no-export", default=None, help="Leave to train models with pairs.")
@options
def rules(project: str, as_json: bool, where: Where, **given: Any) -> None:
    """Show PROJECT's rules, or change those that are given."""

    def change(now: Rules) -> Rules:
        changed = {
            name: given[name]
            for name in ("hold", "flagged", "feedback", "people", "at_deadline", "export")
            if given[name] is not None
        }
        if given["sample"] is not None:
            changed["sample"] = round(given["sample"] * 10)
        if given["deadline"] is not None:
            changed["deadline_s"] = given["deadline"] // US
        return replace(now, **changed)

    async def work(house: House) -> Rules:
        found = await manage.find_project(house.store, project)
        wanted = change(found.review)
        if wanted == found.review:
            return wanted
        after = await flows.set_rules(house.store, found.id, wanted, **house.by)
        return after.review

    found = act(where, work)
    if as_json:
        show.as_json(text.rules_json(found))
        return
    ways = [
        *([] if found.hold == "never" else [f"held: {found.hold}"]),
        *(["flagged"] if found.flagged else []),
        *(["thumbs down"] if found.feedback else []),
        *([f"{found.sample / 10:g} % of all"] if found.sample else []),
    ]
    show.facts(
        (
            ("Enter", ", ".join(ways) or "none"),
            ("Decide", words.counted(found.people, "person", "people")),
            ("Deadline", f"{words.span(found.deadline_s * US)}, then {found.at_deadline}"),
            ("Export", "with leave" if found.export else "no leave"),
            ("Told to", found.webhook),
        )
    )


@click.command()
@click.argument("project")
@click.argument("address")
@options
def webhook(project: str, address: str, as_json: bool, where: Where) -> None:
    """Tell PROJECT's decisions to ADDRESS, signed; "" tells nobody. Prints the secret that
    receivers check signatures with."""

    async def work(house: House) -> tuple[Rules, str]:
        found = await manage.find_project(house.store, project)
        after = await flows.set_webhook(house.store, found.id, address, **house.by)
        secret = telling.secret_of(house.peppers[0], found.id).reveal()
        return after.review, secret if after.review.webhook else ""

    found, secret = act(where, work)
    if as_json:
        show.as_json({**text.rules_json(found), "secret": secret or None})
    elif not secret:
        show.line("Decisions are told to nobody.")
    else:
        show.facts((("Told to", found.webhook), ("Secret", secret)))
