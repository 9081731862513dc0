"""Statements for machines: as JSON and as CSV, for the command line and the console alike."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

from keyhall.flows.manage.statements import Statement
from keyhall.policy.forms.spreadsheet import harmless
from keyhall.policy.pricing import NANO_DIGITS, decimal
from keyhall.stores.spending.statements import OverageLine

MICRO_DIGITS = 6
COLUMNS = ("kind", "project_id", "project", "model", "description", "requests", "input_tokens",
           "output_tokens", "units", "unit", "price", "amount")  # fmt: skip


def stamp(at_us: int) -> str:
    """RFC 3339 in UTC, to the second."""
    return _at(at_us).strftime("%Y-%m-%dT%H:%M:%SZ")


def when_in(at_us: int, zone: tzinfo) -> str:
    return _at(at_us).astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")


def _at(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // 1_000_000, tz=UTC)


def overage_price(resource: str, micro: int) -> str:
    """Of what lies beyond: units of the currency per million; of money, what is added to it."""
    if resource == "money":
        return f"{decimal(micro, 1).rstrip('0').rstrip('.')} % more"
    return f"{decimal(micro, MICRO_DIGITS)} per million {resource}"


def owner_of(line: OverageLine, names: Mapping[str, str]) -> str:
    """`tokens per month of project web`"""
    whose = names.get(line.scope_id, line.scope_id)
    return f"{line.resource} per {line.period} of {line.scope} {whose}"


def json_of(found: Statement, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "organization": found.organization.id,
        "name": found.organization.name,
        "month": found.month,
        "time_zone": found.organization.time_zone,
        "begins": stamp(found.span.begins_us),
        "ends": stamp(found.span.ends_us),
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
                "of": owner_of(line, names),
                "requests": line.requests,
                "units": line.units,
                "unit": "nano" if line.resource == "money" else line.resource,
                "price_micro_per_million": line.price,
                "cost_nano": line.cost_nano,
            }
            for line in found.overage
        ],
        "credits": [
            {"at": stamp(each.at_us), "amount_nano": each.amount_nano, "note": each.note}
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


def _plain(nano: int) -> str:
    """Money without separators, for programs."""
    return decimal(nano, NANO_DIGITS, "")


def csv_of(found: Statement, names: Mapping[str, str]) -> str:
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
                "description": harmless(owner_of(over, names)),
                "requests": over.requests,
                "units": _plain(over.units) if is_money else over.units,
                "unit": harmless("currency" if is_money else over.resource),
                "price": overage_price(over.resource, over.price).replace(",", ""),
                "amount": _plain(over.cost_nano),
            }
        )
    for credit in found.credits:
        described = f"{when_in(credit.at_us, found.zone)} {credit.note}".rstrip()
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
