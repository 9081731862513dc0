"""The documentation tells what gets past the starter policy: what it says is what is measured.

`WRITE_TABLE=1` writes the table anew.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # No packages in tests.

from rates import rates

PAGE = Path(__file__).parents[2] / "src/keyhall/docs/filters.md"
HEAD = "| written | as in | found |\n|---|---|---|\n"


def table(measured):
    return HEAD + "".join(
        f"| {name} | {says} | {caught} of {all_} ({100 * caught // all_} %) |\n"
        for name, (says, caught, all_) in measured.items()
    )


def test_the_page_tells_the_rates_that_are_measured():
    made, text = table(rates()), PAGE.read_text("utf-8")
    before, _, rest = text.partition(HEAD)
    told = HEAD + rest[: rest.index("\n\n") + 1] if not rest.startswith("\n") else HEAD
    if os.environ.get("WRITE_TABLE"):
        PAGE.write_text(before + made + rest[len(told) - len(HEAD) :], "utf-8")
        return
    assert told == made, "WRITE_TABLE=1 writes it anew"


def test_what_only_looks_different_is_found_all_the_same():
    measured = rates()
    for name in ("as it is", "case", "zero width", "full width", "look-alikes", "accents",
                 "wide spaces", "markdown", "split across chunks"):  # fmt: skip
        _, caught, all_ = measured[name]
        assert caught == all_, name
