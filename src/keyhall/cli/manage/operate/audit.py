"""`keyhall audit`: who did what, from where, and what it changed."""

from typing import Any

import click
import msgspec

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.manage.organizations import organization_by
from keyhall.policy.people.acts import says
from keyhall.ports.records import AuditRow
from keyhall.stores.operate import acts
from keyhall.stores.operate.acts import Wanted

LISTED = 50


@click.command()
@click.option("--action", default="", help="One act, such as key.revoke, or a noun, such as key.")
@click.option("--who", default="", help="A name, or part of what stands in the column.")
@click.option("--target", default="", help="An id, or part of one.")
@click.option("--organization", metavar="ORGANIZATION", help="Only this one's; id or name.")
@click.option("--since", type=words.MomentType(is_past=True), help="7d ago, or a date (UTC).")
@click.option("--until", type=words.MomentType(is_past=True), help="Likewise.")
@click.option(
    "--limit", default=LISTED, show_default=True, type=click.IntRange(1), help="At most so many."
)
@options
def audit(
    action: str,
    who: str,
    target: str,
    organization: str | None,
    since: words.Moment | None,
    until: words.Moment | None,
    limit: int,
    as_json: bool,
    where: Where,
) -> None:
    """List acts, newest first. `--json` has what each of them changed."""

    async def work(house: House) -> tuple[list[AuditRow], dict[str, str]]:
        wanted = Wanted(
            action,
            who,
            target,
            since.before(house.now_us) if since else None,
            until.before(house.now_us) if until else None,
        )
        async with house.store.reading() as connection:
            place = await organization_by(connection, organization) if organization else None
            rows = await acts.page(connection, place.id if place else None, wanted, limit)
            ids = {row.who.removeprefix("account:") for row in rows}
            return rows, await acts.names(connection, list(ids))

    rows, names = act(where, work)
    if as_json:
        show.as_json([_json(row, names) for row in rows])
        return
    if not rows:
        show.line("No act is like that. `keyhall audit` without options lists all.")
        return
    show.table(
        ("No.", "When (UTC)", ("Who", "wrap"), "Did", ("To", "wrap"), ("From", "wrap")),
        [
            (
                str(row.number),
                words.when(row.at_us),
                names.get(row.who.removeprefix("account:"), row.who),
                says(row.action),
                row.target,
                row.origin,
            )
            for row in rows
        ],
    )


def _json(row: AuditRow, names: dict[str, str]) -> dict[str, Any]:
    return {
        "number": row.number,
        "at": words.stamp(row.at_us),
        "who": row.who,
        "name": names.get(row.who.removeprefix("account:")),
        "origin": row.origin,
        "action": row.action,
        "target": row.target,
        "organization": row.organization_id,
        "before": None if row.before is None else msgspec.json.decode(row.before),
        "after": None if row.after is None else msgspec.json.decode(row.after),
    }
