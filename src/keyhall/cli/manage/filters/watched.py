"""What rules hit, and who says that one was wrong."""

from typing import Any, get_args

import click

from keyhall.cli.manage import show
from keyhall.cli.manage.filters import text
from keyhall.cli.manage.filters.whose import owner_of, project_option, seen_by
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.filters import operators, reporting
from keyhall.flows.filters.manage import Seen
from keyhall.ports.filters import ProjectCount, Report, ReportState
from keyhall.stores.filters import reports as reported

LISTED = 200
PROJECTS_SHOWN = 50


@click.command("hits")
@click.argument("rule", required=False)
@project_option
@options
def hits(rule: str | None, project: str | None, as_json: bool, where: Where) -> None:
    """How often rules hit, and how often that was reported as wrong; of RULE, in which projects.

    Numbers are written down every two seconds, and stay when a rule is changed.
    """
    if rule is not None:
        if project is not None:
            raise click.UsageError("Name a RULE or a project, not both.")
        _of_one(rule, as_json, where)
        return

    async def work(house: House) -> list[Seen]:
        return await seen_by(house, await owner_of(house, project, None))

    found = sorted(act(where, work), key=lambda each: (-each.hits, each.rule.id))
    found = [each for each in found if each.hits or each.wrong]
    if as_json:
        show.as_json([text.hits_json(each) for each in found])
    elif not found:
        show.line("No rule has hit yet.")
    else:
        text.hits(found)


def _of_one(rule: str, as_json: bool, where: Where) -> None:
    async def work(house: House) -> list[tuple[str, ProjectCount]]:
        async with house.store.reading() as connection:
            return await reporting.by_project(connection, rule, PROJECTS_SHOWN)

    found = act(where, work)
    if as_json:
        show.as_json([text.project_json(name, each) for name, each in found])
    elif not found:
        show.line(f"{rule} has hit in no project yet.")
    else:
        text.projects(found)


@click.command("report")
@click.argument("rule")
@click.option("--why", "said", required=True, help="What was hit wrongly. It is kept as written.")
@options
def report(rule: str, said: str, as_json: bool, where: Where) -> None:
    """Say that a rule hit what it should not have."""

    async def work(house: House) -> Report:
        settings = operators.rules_of(house.config.filter)
        return await reporting.report(house.store, rule, said, settings=settings, **house.by)

    made = act(where, work)
    if as_json:
        show.as_json(text.report_json(made))
    else:
        show.line(f"Noted as number {made.number}: `keyhall filters reports` lists what is open.")


@click.command("reports")
@click.option("--state", type=click.Choice([*get_args(ReportState), "all"]), default="open",
              show_default=True, help="Which ones.")  # fmt: skip
@options
def reports(state: Any, as_json: bool, where: Where) -> None:
    """List reports that a rule hit wrongly, newest first."""
    wanted: ReportState | None = None if state == "all" else state

    async def work(house: House) -> list[Report]:
        async with house.store.reading() as connection:
            return await reported.newest(connection, limit=LISTED, state=wanted)

    found = act(where, work)
    if as_json:
        show.as_json([text.report_json(each) for each in found])
    elif not found:
        show.line("No report waits for an answer." if state == "open" else "There is none.")
    else:
        text.reports(found)


@click.command("answer")
@click.argument("number", type=int)
@click.option("--changed", "state", flag_value="changed", help="The rule was changed.")
@click.option("--kept", "state", flag_value="kept", help="The rule stays as it is.")
@click.option("--why", "said", required=True, help="A sentence that whoever reported reads.")
@options
def answer(number: int, state: ReportState | None, said: str, as_json: bool, where: Where) -> None:
    """Close a report: the rule was changed, or is kept as it is."""
    if state is None:
        raise click.UsageError("Say what became of the rule: --changed or --kept.")
    closed: ReportState = state
    made = act(where, lambda house: reporting.answer(house.store, number, closed, said, **house.by))
    if as_json:
        show.as_json(text.report_json(made))
    else:
        show.line(f"Number {made.number} is answered: {made.state}.")
