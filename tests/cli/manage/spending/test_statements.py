"""`keyhall statements`: a month for people, for programs and for spreadsheets."""

import csv
import io

import pytest
from made_usage import made_usage

from keyhall.flows.manage.statement_text import COLUMNS
from keyhall.policy.forms.spreadsheet import harmless

ORGANIZATION = "Default organization"
AT_US = 1_774_000_000_000_000  # 2026-03-20 UTC


@pytest.fixture
def month(keyhall, house):
    """March 2026 of an organization: usage in two projects, overage, credit."""
    project = keyhall.json("projects", "create", "--name", "=HYPERLINK(1)")
    keyhall("quotas", "set", "--organization", ORGANIZATION, "--tokens", "1000", "--per", "month",
            "--overage", "1.5")  # fmt: skip
    shown = keyhall.json("organizations", "show", ORGANIZATION)
    (default,) = set(shown["projects"]) - {project["id"]}
    common = {
        "project_id": project["id"],
        "organization_id": shown["id"],
        "input_tokens": 1_000,
        "output_tokens": 200,
        "cost_nano": 1_234_567_890_123,
    }
    more = [
        {},
        {"project_id": default, "cost_nano": 1, "version": "@cmd"},
        {"is_test": True, "cost_nano": 0},
    ]
    rows = [made_usage(number, AT_US, **(common | each)) for number, each in enumerate(more)]
    house.run(lambda store: store.record_usage(rows))
    return ("statements", ORGANIZATION, "--month", "2026-03")


def test_for_people_it_is_exact_and_says_what_it_adds_up_to(keyhall, month) -> None:
    said = [" ".join(line.split()) for line in keyhall(*month).splitlines()]
    assert said[0].endswith("2026-03 in UTC")
    assert "=HYPERLINK(1) v1-sandbox-1 1 1,000 200 1,234.567890123" in said
    assert "Default project @cmd 1 1,000 200 0.000000001" in said
    assert "Total 2 2,000 400 1,234.567890124" in said
    over = f"tokens per month of organization {ORGANIZATION} 2 1,400 1.50 per million tokens 0.0021"
    assert over in said
    assert "Total 1,234.569990124" in said
    assert (
        "Adds up to 2 rows of the ledger, 1,234.567890124 in all, and 0.0021 of overage (1 row of "
        "test keys cost nothing)" in said
    )


def test_for_programs_money_is_whole_nano_units(keyhall, month) -> None:
    found = keyhall.json(*month)
    assert sum(line["cost_nano"] for line in found["lines"]) == found["ledger"]["cost_nano"]
    assert found["used_nano"] == 1_234_567_890_124
    assert found["total_nano"] == found["used_nano"] + found["overage_nano"]
    assert found["ledger"] == {"rows": 2, "cost_nano": 1_234_567_890_124, "test_rows": 1}
    assert (found["begins"], found["ends"]) == ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")
    assert (found["credit_left_nano"], found["is_over"]) == (None, True)


def test_for_spreadsheets_nothing_is_run_and_nothing_rounded(keyhall, month) -> None:
    table = list(csv.DictReader(io.StringIO(keyhall(*month, "--csv"))))
    assert tuple(table[0]) == COLUMNS
    usage = [row for row in table if row["kind"] == "usage"]
    assert {(row["project"], row["model"], row["amount"]) for row in usage} == {
        ("'=HYPERLINK(1)", "v1-sandbox-1", "1234.567890123"),
        ("Default project", "'@cmd", "0.000000001"),
    }
    (over,) = [row for row in table if row["kind"] == "overage"]
    assert (over["units"], over["price"]) == ("1400", "1.50 per million tokens")
    (total,) = [row for row in table if row["kind"] == "total"]
    assert total["amount"] == "1234.569990124"
    for row in table:
        for name, cell in row.items():
            number = name in ("requests", "input_tokens", "output_tokens", "units", "amount")
            assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_credit_stands_on_the_statement_of_its_month(keyhall) -> None:
    keyhall("quotas", "credit", "add", ORGANIZATION, "100", "--note", "=1+1")
    keyhall("quotas", "credit", "take", ORGANIZATION, "0.5")
    said = keyhall("statements", ORGANIZATION)
    assert "Nothing was used." in said
    assert ", so far" in said
    assert "Credit added     99.50" in said
    assert "Credit left now  99.50" in said
    table = list(csv.DictReader(io.StringIO(keyhall("statements", ORGANIZATION, "--csv"))))
    credits = [row for row in table if row["kind"] == "credit"]
    assert [row["amount"] for row in credits] == ["100.00", "-0.50"]
    assert credits[0]["description"].endswith(" UTC =1+1")
    assert [row["amount"] for row in table if row["kind"] == "credit left"] == ["99.50"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_a_cell_that_looks_like_a_formula_is_text(start) -> None:
    assert harmless(f"{start}1+1") == f"'{start}1+1"
    assert harmless(f"a{start}") == f"a{start}"


def test_one_form_at_a_time(keyhall) -> None:
    said = keyhall.refused("statements", ORGANIZATION, "--csv", "--json", status=2)
    assert "Say one of --csv and --json" in said
    assert "is no month" in keyhall.refused("statements", ORGANIZATION, "--month", "March")
