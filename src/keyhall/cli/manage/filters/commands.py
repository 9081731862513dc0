"""`keyhall filters`: which rules there are, what they would find, who says that one is wrong."""

from typing import get_args

import click

from keyhall.cli import progress
from keyhall.cli.manage import show
from keyhall.cli.manage.filters import text, tried, watched
from keyhall.cli.manage.filters.reading import rules_of_file, text_of_file
from keyhall.cli.manage.filters.whose import owner_of, seen_by, whose
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.options import fail
from keyhall.flows.filters import manage, operators
from keyhall.flows.filters.manage import Seen
from keyhall.flows.filters.trial import Trial, tried_in_pieces
from keyhall.policy.filters.rules import Action, Rule, RuleRefused, Way
from keyhall.ports.filters import Report
from keyhall.stores.filters import reports as reported

LISTED = 200

_ACTIONS = click.Choice(get_args(Action))


@click.group()
def filters() -> None:
    """List, try, switch and report the rules of the filter.

    They are rules and no intelligence: they find phrases and shapes, and understand nothing.
    """


@filters.command("list")
@whose
@click.option("--on", "only_on", is_flag=True, help="Only those that are on.")
@options
def list_rules(
    project: str | None, tier: str | None, only_on: bool, as_json: bool, where: Where
) -> None:
    """List rules, whether they are on, and how often they hit."""

    async def work(house: House) -> list[Seen]:
        return await seen_by(house, await owner_of(house, project, tier))

    found = act(where, work)
    if only_on:
        found = [each for each in found if each.rule.is_on]
    if as_json:
        show.as_json([text.json_of(each) for each in found])
    else:
        text.listed(found)


@filters.command("show")
@click.argument("rule")
@whose
@options
def show_rule(
    rule: str, project: str | None, tier: str | None, as_json: bool, where: Where
) -> None:
    """Show a rule with its reason, its owner, and the sentences that it is tested with."""

    async def work(house: House) -> tuple[Seen, list[Report]]:
        found = await seen_by(house, await owner_of(house, project, tier))
        wanted = manage.named([each.rule for each in found], rule)
        seen = next(each for each in found if each.rule is wanted)
        async with house.store.reading() as connection:
            said = await reported.newest(connection, limit=LISTED, rule_id=wanted.id)
        return seen, said

    seen, said = act(where, work)
    if as_json:
        show.as_json({**text.json_of(seen), "reported": [text.report_json(each) for each in said]})
    else:
        text.shown(seen, said)


@filters.command("test")
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--text", "given", metavar="TEXT", help="Try this text instead of a file.")
@click.option("--direction", type=click.Choice(["in", "out"]), default="in", show_default=True,
              help="As a prompt or as an answer.")  # fmt: skip
@click.option("--rules", "path", type=click.Path(exists=True, dir_okay=False),
              help="Try the rules of this file alone.")  # fmt: skip
@whose
@options
def test_text(
    file: str | None,
    given: str | None,
    direction: Way,
    path: str | None,
    project: str | None,
    tier: str | None,
    as_json: bool,
    where: Where,
) -> None:
    """Try rules on FILE ("-" reads what is piped in), without a server.

    Rules that are off are tried too, and marked as off. Ends with 1 if a rule that is on would
    block.
    """
    if (file is None) == (given is None):
        raise click.UsageError("Name a FILE, or give a text with --text.")
    tested = given if given is not None else text_of_file(str(file))
    if path is not None:
        rules = rules_of_file(path)
    else:

        async def work(house: House) -> list[Seen]:
            return await seen_by(house, await owner_of(house, project, tier))

        rules = [each.rule for each in act(where, work)]
    with progress.shown(is_wanted=not as_json) as step:
        try:
            trial = tried_in_pieces(
                tested, rules, direction, lambda done, all_: step("scanned", done, all_)
            )
        except RuleRefused as error:
            fail(str(error))
    _told(tested, trial, as_json)


def _told(tested: str, trial: Trial, as_json: bool) -> None:
    if as_json:
        show.as_json(text.trial_json(tested, trial))
    else:
        text.trial(tested, trial)
    if trial.action == "block":
        raise SystemExit(1)


# --- Changes --------------------------------------------------------------------------------------


@filters.command("set")
@click.argument("rule")
@click.option("--on/--off", "is_on", default=True, help="Turn it on (as without either), or off.")
@click.option("--action", type=_ACTIONS, help="What it does.  [as it is]")
@click.option("--percent", type=click.IntRange(0, 100), help="Of requests.  [as it is]")
@whose
@options
def set_rule(
    rule: str,
    is_on: bool,
    action: Action | None,
    percent: int | None,
    project: str | None,
    tier: str | None,
    as_json: bool,
    where: Where,
) -> None:
    """Turn a rule on or off. RULE is an id, or ends in * for all that begin so.

    A project can only make rules stricter than the hall has them.
    """

    async def work(house: House) -> list[Rule]:
        owner = await owner_of(house, project, tier)
        names = [rule]
        if rule.endswith("*"):
            found = [each.rule.id for each in await seen_by(house, owner)]
            names = [name for name in found if name.startswith(rule[:-1])] or [rule]
        return [
            await manage.switch(
                house.store,
                name,
                is_on=is_on,
                action=action,
                percent=percent,
                settings=operators.rules_of(house.config.filter),
                owner=owner,
                **house.by,
            )
            for name in names
        ]

    changed = act(where, work)
    if as_json:
        show.as_json([text.rule_json(each) for each in changed])
    else:
        for each in changed:
            show.line(f"{each.id}: {text.state(each)}")


@filters.command("add")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@whose
@options
def add_rules(
    file: str, project: str | None, tier: str | None, as_json: bool, where: Where
) -> None:
    """Add the rules of a TOML file, or put them in place of those of the same ids.

    Their test sentences must come out right. Nothing is added if one of them cannot be.
    """
    rules = rules_of_file(file)
    if not rules:
        fail(f"{file} has no [[rules]].")

    async def work(house: House) -> list[Rule]:
        owner = await owner_of(house, project, tier)
        for rule in rules:
            manage.usable(rule)  # Before any of them is kept.
        settings = operators.rules_of(house.config.filter)
        return [
            await manage.write(house.store, rule, settings=settings, owner=owner, **house.by)
            for rule in rules
        ]

    added = act(where, work)
    if as_json:
        show.as_json([text.rule_json(each) for each in added])
    else:
        for each in added:
            show.line(f"{each.id}: {text.state(each)}")


@filters.command("remove")
@click.argument("rule")
@whose
@options
def remove_rule(
    rule: str, project: str | None, tier: str | None, as_json: bool, where: Where
) -> None:
    """Take away a rule that was added here."""

    async def work(house: House) -> None:
        owner = await owner_of(house, project, tier)
        await manage.remove(house.store, rule, owner=owner, **house.by)

    act(where, work)
    if as_json:
        show.as_json({"id": rule, "removed": True})
    else:
        show.line(f"{rule} is gone.")


for _command in (tried.try_past, watched.hits, watched.report, watched.reports, watched.answer):
    filters.add_command(_command)
