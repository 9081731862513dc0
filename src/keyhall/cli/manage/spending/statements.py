"""`keyhall statements ORGANIZATION`: what it used and owes in a month, to the last digit."""

import csv
import io
from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.manage.spending import quota_text
from keyhall.flows.manage.statements import Statement, statement
from keyhall.stores.spending import quotas
from keyhall.stores.spending.statements import OverageLine

NANO = words.NANO_DIGITS
COLUMNS = ("kind", "project_id", "project", "model", "description", "requests", "input_tokens",
           "output_tokens", "units", "unit", "price", "amount")  # fmt: skip
# What a spreadsheet takes for the beginning of a formula, also in the wide forms of East Asia.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@click.command()
@click.argument("organization")
@click.option("--month", metavar="YYYY-MM", help="A calendar month.  [the one that runs]")
@click.option("--csv", "as_csv", is_flag=True, help="CSV instead of text.")
@options
def statements(
    organization: str, month: str | None, as_csv: bool, as_json: bool, where: Where
) -> None:
    """Show what an organization used in a month of its time zone, and what it owes.

    Made from the ledger's rows themselves, to which it adds up to the nano-unit.
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


def _of(line: OverageLine, names: dict[str, str]) -> str:
    """`tokens per month of project web`"""
    whose = names.get(line.scope_id, line.scope_id)
    return f"{line.resource} per {line.period} of {line.scope} {whose}"


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
                    _of(line, names),
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


# --- For machines ---------------------------------------------------------------------------------


def json_of(found: Statement, names: dict[str, str]) -> dict[str, Any]:
    return {
        "organization": found.organization.id,
        "name": found.organization.name,
        "month": found.month,
        "time_zone": found.organization.time_zone,
        "begins": words.stamp(found.span.begins_us),
        "ends": words.stamp(found.span.ends_us),
        "is_over": found.is_over,
        "lines": [
            {
                "project": line.project_id,
                "name": line.project,
                "model": line.version,
                "requests": line.requests,
                "input_tokens": line.input_tokens,
                "output_tokens": line.output_tokens,
                "cost_nano": line.cost_nano,
            }
            for line in found.lines
        ],
        "overage": [
            {
                "quota": line.quota_id,
                "of": _of(line, names),
                "requests": line.requests,
                "units": line.units,
                "unit": "nano" if line.resource == "money" else line.resource,
                "price_micro_per_million": line.price,
                "cost_nano": line.cost_nano,
            }
            for line in found.overage
        ],
        "credits": [
            {"at": words.stamp(each.at_us), "amount_nano": each.amount_nano, "note": each.note}
            for each in found.credits
        ],
        "credit_left_nano": found.credit_left_nano,
        "used_nano": found.used_nano,
        "overage_nano": found.overage_nano,
        "total_nano": found.total_nano,
        "ledger": {
            "rows": found.ledger.rows,
            "cost_nano": found.ledger.cost_nano,
            "test_rows": found.ledger.test_rows,
        },
    }


def harmless(text: str) -> str:
    """Text that no spreadsheet runs: what looks like a formula gets an apostrophe before it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(nano: int) -> str:
    """Money without separators, for programs."""
    return _money(nano).replace(",", "")


def csv_of(found: Statement, names: dict[str, str]) -> str:
    """One row for each line, overage and credit; then the total and what it adds up to."""
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\r\n")
    table.writeheader()
    for line in found.lines:
        table.writerow(
            {
                "kind": "usage",
                "project_id": harmless(line.project_id),
                "project": harmless(line.project),
                "model": harmless(line.version),
                "requests": line.requests,
                "input_tokens": line.input_tokens,
                "output_tokens": line.output_tokens,
                "amount": _plain(line.cost_nano),
            }
        )
    for over in found.overage:
        is_money = over.resource == "money"
        table.writerow(
            {
                "kind": "overage",
                "description": harmless(_of(over, names)),
                "requests": over.requests,
                "units": _plain(over.units) if is_money else over.units,
                "unit": harmless("currency" if is_money else over.resource),
                "price": quota_text.price(over.resource, over.price).replace(",", ""),
                "amount": _plain(over.cost_nano),
            }
        )
    for credit in found.credits:
        described = f"{words.when_in(credit.at_us, found.zone)} {credit.note}".rstrip()
        table.writerow(
            {"kind": "credit", "description": described, "amount": _plain(credit.amount_nano)}
        )
    table.writerow({"kind": "total", "amount": _plain(found.total_nano)})
    if found.credit_left_nano is not None:
        table.writerow({"kind": "credit left", "amount": _plain(found.credit_left_nano)})
    table.writerow(
        {
            "kind": "ledger",
            "description": "rows of the ledger and their sum, without overage",
            "requests": found.ledger.rows,
            "amount": _plain(found.ledger.cost_nano),
        }
    )
    return out.getvalue()
