"""docs/faults.md: every fault has a row, and every test that a row names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (F-\d+) .*$", TEXT, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", TEXT)))


def test_every_fault_has_a_row_in_order() -> None:
    assert [f"F-{number}" for number in range(1, 26)] == ROWS


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_exists(name: str) -> None:
    path, _, test = name.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {test or 'test_'}", text, re.MULTILINE), name


def test_a_row_without_a_test_says_why() -> None:
    for line in TEXT.splitlines():
        if line.startswith("| F-"):
            assert "`tests/" in line or "not yet: " in line, line
