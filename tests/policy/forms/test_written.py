"""What people write into forms."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall.policy.forms import written
from keyhall.policy.forms.spreadsheet import FORMULA, harmless
from keyhall.policy.people import acts


@given(st.integers(0, 10**17))
def test_a_whole_number_is_read_however_its_thousands_are_set_apart(number: int) -> None:
    for between in ("", ",", " ", "_", "\u2009", "\u00a0", "\u202f"):
        assert written.whole(f" {number:,} ".replace(",", between)) == number


@pytest.mark.parametrize("text", ["", "4.5", "-1", "1e3", "1,2,3", "many", "٣", "12,34", "9" * 19])
def test_what_is_no_whole_number_is_none(text: str) -> None:
    assert written.whole(text) is None


@given(st.integers(0, 10**18), st.sampled_from([1, 6, 9]))
def test_a_decimal_is_read_exactly(units: int, digits: int) -> None:
    whole, fraction = divmod(units, 10**digits)
    if whole < 10**12:
        assert written.units(f"{whole:,}.{fraction:0{digits}d}", digits) == units
        assert written.units(str(whole), digits) == whole * 10**digits


@pytest.mark.parametrize("text", ["", ".5", "1.", "-1", "1e3", "0.0000000001", "1" * 13])
def test_what_is_no_amount_is_none(text: str) -> None:
    assert written.units(text, 9) is None


def test_a_day_begins_where_its_zone_says() -> None:
    utc = written.day_us("2027-01-15", ZoneInfo("UTC"))
    berlin = written.day_us("2027-01-15", ZoneInfo("Europe/Berlin"))
    assert utc == 1_799_971_200_000_000
    assert berlin == utc - 3_600_000_000


@pytest.mark.parametrize("text", ["", "soon", "2027-13-01", "2027-1-1"])
def test_what_is_no_day_is_none(text: str) -> None:
    assert written.day_us(text, ZoneInfo("UTC")) is None


def test_entries_stand_between_commas_or_lines() -> None:
    assert written.listed(" v1, sandbox/*\n,,x ") == ("v1", "sandbox/*", "x")


def test_every_act_has_words_and_unknown_ones_are_told_by_their_name() -> None:
    assert acts.says("key.revoke") == "revoked the key"
    assert acts.says("door.paint-it") == "door: paint it"


@pytest.mark.parametrize("start", FORMULA)
def test_no_cell_begins_a_formula(start: str) -> None:
    assert harmless(f"{start}1+1") == f"'{start}1+1"
    assert harmless(f"a{start}") == f"a{start}"
