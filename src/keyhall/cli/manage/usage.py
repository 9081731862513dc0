"""`keyhall usage`: what was used, by key, model or day."""

from typing import Any, get_args

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.manage import keys, organizations
from keyhall.flows.manage.usage import Report, report
from keyhall.ports.records import Group, UsageLine

TITLES: dict[Group, str] = {"key": "Key", "model": "Model", "day": "Day (UTC)"}


@click.command()
@click.option("--by", type=click.Choice(get_args(Group)), default="key", show_default=True)
@click.option("--since", type=words.MomentType(is_past=True),
              help="7d (so long ago), or a date (UTC).  [the beginning]")  # fmt: skip
@click.option("--until", type=words.MomentType(is_past=True),
              help="1d (so long ago), or a date (UTC).  [now]")  # fmt: skip
@click.option("--key", metavar="KEY", help="Only this key's.")
@click.option("--model", metavar="VERSION", help="Only this version's.")
@click.option("--project", metavar="PROJECT", help="Only this project's.")
@click.option("--organization", metavar="ORGANIZATION", help="Only this organization's.")
@options
def usage(
    by: Group,
    since: words.Moment | None,
    until: words.Moment | None,
    key: str | None,
    model: str | None,
    project: str | None,
    organization: str | None,
    as_json: bool,
    where: Where,
) -> None:
    """Show requests, tokens and cost by key, model or day.

    Totals are kept by the hour: --since is moved back to a full hour and --until forth.
    """

    async def work(house: House) -> Report:
        chosen = None
        if key is not None:
            chosen = ((await keys.find(house.store, key, house.now_us)).id,)
        of_project = of_organization = None
        if project is not None:
            of_project = (await organizations.find_project(house.store, project)).id
        if organization is not None:
            of_organization = (await organizations.find(house.store, organization)).id
        return await report(
            house.store,
            by,
            since_us=since.before(house.now_us) if since else None,
            until_us=until.before(house.now_us) if until else None,
            key_ids=chosen,
            version=model,
            project_id=of_project,
            organization_id=of_organization,
        )

    found = act(where, work)
    if as_json:
        show.as_json(json_of(found))
    else:
        _describe(found)


def _describe(found: Report) -> None:
    if not found.lines:
        show.line(f"Nothing was used{_period(found)}.")
        return
    numbers = ("Requests", "Input tokens", "Output tokens", "Cost", "Not finished", "Estimated")
    is_keys = found.by == "key"
    show.table(
        (
            TITLES[found.by],
            ("Name" if is_keys else "", "wrap"),
            *((title, "right") for title in numbers),
        ),
        [_row(line.group, line.name if is_keys else "", line) for line in found.lines],
        total=_row("Total", "", found.total),
    )
    if _period(found):
        show.line(f"\nAdmitted{_period(found)}.")


def _row(group: str, name: str, line: UsageLine) -> tuple[str, ...]:
    return (
        group,
        name,
        f"{line.requests:,}",
        f"{line.input_tokens:,}",
        f"{line.output_tokens:,}",
        words.money(line.cost_nano, words.NANO_DIGITS),
        f"{line.unanswered:,}" if line.unanswered else "",
        f"{line.estimated:,}" if line.estimated else "",
    )


def _period(found: Report) -> str:
    said = ""
    if found.since_us is not None:
        said += f" from {words.when(found.since_us)} UTC"
    if found.until_us is not None:
        said += f" until {words.when(found.until_us)} UTC"
    return said


def json_of(found: Report) -> dict[str, Any]:
    return {
        "by": found.by,
        "since": words.stamp(found.since_us),
        "until": words.stamp(found.until_us),
        "lines": [{found.by: line.group, **_amounts(line)} for line in found.lines],
        "total": _amounts(found.total),
    }


def _amounts(line: UsageLine) -> dict[str, Any]:
    named = {} if line.name == line.group or line.group == "total" else {"name": line.name}
    return {
        **named,
        "requests": line.requests,
        "input_tokens": line.input_tokens,
        "output_tokens": line.output_tokens,
        "cost_nano": line.cost_nano,
        "not_finished": line.unanswered,
        "estimated": line.estimated,
    }
