"""Class lists as spreadsheets of all countries write them; CSV that computes nothing."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.forms.spreadsheet import harmless
from keyhall.policy.people import class_list
from keyhall.policy.people.class_list import Line, read, written

ADA = Line(1, "Ada", "ada@x.example")


@pytest.mark.parametrize(
    "text",
    [
        "Ada,ada@x.example",
        "Ada;ADA@x.example\r\n",
        "Ada\tada@x.example\n\n",
        '"Ada","ada@x.example",""',
    ],
)
def test_a_list_without_a_head_is_name_and_address(text):
    assert read(text, {}).lines == (ADA,)


@pytest.mark.parametrize(
    "text",
    [
        "name,e-mail\nAda,ada@x.example",
        "E-Mail;Matr.;Name\nada@x.example;123;Ada",
        "Full name\tEmail address\nAda\tada@x.example",
    ],
)
def test_a_head_says_which_column_is_which(text):
    (line,) = read(text, {}).lines
    assert (line.name, line.email, line.number) == ("Ada", "ada@x.example", 2)


def test_projects_are_named_by_name_or_id():
    projects = {"web": "proj_1", "proj_1": "proj_1"}
    text = "A,a@x.example,web\nB,b@x.example,proj_1\nC,c@x.example,other\nD,d@x.example"
    found = read(text, projects)
    assert [each.project for each in found.lines] == ["proj_1", "proj_1", "", ""]
    assert [bool(each.fault) for each in found.lines] == [False, False, True, False]
    assert (len(found.good), found.faulty) == (3, 1)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (",a@x.example", "name is missing"),
        (f"{'n' * 101},a@x.example", "101 characters"),
        ("A\u202eda,a@x.example", "cannot be seen"),
        ("Ada,", "address is missing"),
        ("Ada", "address is missing"),
        ("Ada,nonsense", "not an e-mail address"),
    ],
)
def test_a_line_that_cannot_be_used_says_why(text, fault):
    (line,) = read(text, {}).lines
    assert fault in line.fault


def test_an_address_that_stands_twice_names_the_first_line():
    first, second = read("A,a@x.example\n\nB,A@X.example", {}).lines
    assert (first.fault, second.fault) == ("", "The same address as in line 1.")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        (" \n;;\n", "empty"),
        ("name,e-mail\n", "nobody below"),
        ("name,matriculation\nAda,7", "no column"),
        ("e-mail\nada@x.example", "no column"),
        ("A,a@x.example\n" * 2_001, "2,001 people"),
    ],
)
def test_a_list_that_cannot_be_used_says_why(text, fault):
    found = read(text, {})
    assert fault in found.fault
    assert not found.lines


def test_a_cell_without_an_end_is_a_fault_and_no_failure():
    found = read("Ada,ada@x.example\n" + "x" * 200_000, {})
    assert (len(found.good), found.faulty) == (1, 1)


@given(st.text(max_size=300))
def test_no_text_breaks_the_reading(text):
    found = read(text, {})
    assert bool(found.fault) != bool(found.lines)


@given(st.lists(st.lists(st.text(max_size=20), min_size=2, max_size=2), max_size=5))
def test_attack_20_no_cell_begins_a_formula(rows):
    back = list(csv.reader(io.StringIO(written(("name", "key"), rows), newline="")))
    assert len(back) == len(rows) + 1
    for each in (value for row in back for value in row):
        assert not each.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_cell_that_is_harmless_stays_as_it_is():
    assert harmless("sk-kh_live_x") == "sk-kh_live_x"
    assert harmless("-1") == "'-1"
    assert class_list.PEOPLE_MAX == 2_000
