"""`keyhall statements ORGANIZATION`: what it used and owes in a month, to the last digit."""

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.manage.spending import quota_text
from keyhall.flows.manage.statement_text import csv_of, json_of, owner_of
from keyhall.flows.manage.statements import Statement, statement
from keyhall.stores.spending import quotas

NANO = words.NANO_DIGITS


@click.command()
@click.argument("organization")
@click.option("--month", metavar="YYYY-MM", help="A calendar month.  [the one that runs]")
@click.option("--csv", "as_csv", is_flag=True, help="CSV instead of text.")
@options
def statements(
    organization: str, month: str | None, as_csv: bool, as_json: bool, where: Where
) -> None:
    """Show what an organization used in a month of its time zone, and what it owes.

    It adds up to the ledger's rows, to the nano-unit.
    """
    if as_csv and as_json:
        raise click.UsageError("Say one of --csv and --json.")

    async def work(house: House) -> tuple[Statement, dict[str, str]]:
        found = await statement(house.store, organization, month, house.now_us)
        ids = [each.scope_id for each in found.overage]
        async with house.store.reading() as connection:
            return found, await quotas.owner_names(connection, ids)

    found, names = act(where, work)
    if as_json:
        show.as_json(json_of(found, names))
    elif as_csv:
        click.echo(csv_of(found, names), nl=False)
    else:
        _describe(found, names)


def _money(nano: int) -> str:
    return words.money(nano, NANO)


# --- For people -----------------------------------------------------------------------------------


def _describe(found: Statement, names: dict[str, str]) -> None:
    organization = found.organization
    zone = organization.time_zone
    so_far = "" if found.is_over else ", so far"
    show.line(f"{organization.name} ({organization.id}), {found.month} in {zone}{so_far}\n")
    _show_lines(found)
    if found.overage:
        show.line("\nOverage")
        show.table(
            ("Beyond", ("Requests", "right"), ("Units", "right"), "Price", ("Cost", "right")),
            [
                (
                    owner_of(line, names),
                    f"{line.requests:,}",
                    quota_text.units_of(line.resource, line.units),
                    quota_text.price(line.resource, line.price),
                    _money(line.cost_nano),
                )
                for line in found.overage
            ],
            total=("Total", "", "", "", _money(found.overage_nano)),
        )
    show.line()
    credits = sum(credit.amount_nano for credit in found.credits)
    left = found.credit_left_nano
    show.facts(
        (
            ("Total", _money(found.total_nano)),
            ("Credit added", _money(credits) if found.credits else ""),
            (f"Credit left{so_far and ' now'}", "" if left is None else _money(left)),
            ("Adds up to", _ledger(found)),
        )
    )


def _show_lines(found: Statement) -> None:
    if not found.lines:
        show.line("Nothing was used.")
        return
    numbers = ("Requests", "Input tokens", "Output tokens", "Cost")
    show.table(
        (("Project", "wrap"), "Model", *((title, "right") for title in numbers)),
        [
            (
                line.project,
                line.version,
                f"{line.requests:,}",
                f"{line.input_tokens:,}",
                f"{line.output_tokens:,}",
                _money(line.cost_nano),
            )
            for line in found.lines
        ],
        total=(
            "Total",
            "",
            f"{sum(line.requests for line in found.lines):,}",
            f"{sum(line.input_tokens for line in found.lines):,}",
            f"{sum(line.output_tokens for line in found.lines):,}",
            _money(found.used_nano),
        ),
    )


def _ledger(found: Statement) -> str:
    ledger = found.ledger
    said = f"{words.counted(ledger.rows, 'row')} of the ledger, {_money(ledger.cost_nano)} in all"
    if found.overage:
        said += f", and {_money(found.overage_nano)} of overage"
    if ledger.test_rows:
        said += f" ({words.counted(ledger.test_rows, 'row')} of test keys cost nothing)"
    return said
