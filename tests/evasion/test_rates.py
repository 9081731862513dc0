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
                 "wide spaces", "markdown", "soft hyphens", "mixed scripts",
                 "split across chunks"):  # fmt: skip
        _, caught, all_ = measured[name]
        assert caught == all_, name


def test_what_a_reader_has_to_decode_is_found_nearly_always():
    measured = rates()
    for name in ("digits for letters", "spaced letters", "dotted words", "base64", "hex",
                 "base64, twice", "form-encoded", "percent-encoded", "HTML entities",
                 "split across messages"):  # fmt: skip
        _, caught, all_ = measured[name]
        assert caught >= 0.9 * all_, name
