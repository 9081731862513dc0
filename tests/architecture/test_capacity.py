"""The page on capacity says what its measured costs make."""

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def capacity() -> ModuleType:
    spec = spec_from_file_location("capacity", ROOT / "bench" / "capacity.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_costs_make(capacity: ModuleType) -> None:
    page = capacity.PAGE.read_text(encoding="utf-8")
    assert capacity.filled(page) == page, "run: python bench/capacity.py --write"
    assert sorted(capacity.MARK.findall(page)) == sorted(capacity.TABLES)


def test_dearer_requests_change_the_page(capacity: ModuleType) -> None:
    """It is computed, not copied."""
    page = capacity.PAGE.read_text(encoding="utf-8")
    before = capacity.COSTS["shared_us"]
    capacity.COSTS["shared_us"] = before._replace(amount=2 * before.amount)
    assert capacity.filled(page) != page


def test_it_can_be_run_by_itself(
    capacity: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["capacity.py"])
    capacity.main()
    assert "at 100,000 requests a second" in capsys.readouterr().out


def test_what_is_said_in_short_is_in_the_tables(capacity: ModuleType) -> None:
    """The figures that the page's sentences repeat, to the digits that they give."""
    short = capacity.PAGE.read_text(encoding="utf-8").partition("**In short.**")[2]
    short = re.sub(r"\s+", " ", short.partition("\n\n")[0])
    for name, pattern in (
        ("process", r"some ([\d,]+) short requests a second"),
        ("bounds", r"at some ([\d,]+) requests a second"),
    ):
        said = re.search(pattern, short)
        assert said is not None, pattern
        (figure,) = re.findall(r"\| ([\d,]+) \|", capacity.TABLES[name]())[:1]
        assert abs(_number(said[1]) / _number(figure) - 1) < 0.15, (said[0], figure)


def _number(text: str) -> int:
    return int(text.replace(",", ""))
