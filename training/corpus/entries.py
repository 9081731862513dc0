"""One entry is one thing to know: the ways to ask for it, and what is true.

`asks` are patterns (`grammar.py`). `also` are short forms that only make sense after another question
of the same topic: "and to revoke it?". Where that is not enough, entries have families, and `near`
are the forms that make sense after a question of one of them: "and tokens?" after the requests of the
same tier.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    topic: str
    asks: tuple[str, ...]
    answers: tuple[str, ...]
    also: tuple[str, ...] = ()
    weight: float = 1.0
    families: tuple[str, ...] = ()
    near: tuple[tuple[str, str], ...] = ()  # family, pattern


def lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines() if line.strip())


def read(topic: str, text: str, weight: float = 1.0) -> Iterable[Entry]:
    """Entries written as blocks with blank lines between, one thing a line:

    `? ask`, `+ also`, `= answer`, `@ family family`, `~family near`.
    """
    for block in text.strip().split("\n\n"):
        found: dict[str, list[str]] = {mark: [] for mark in "?+=@~"}
        for line in lines(block):
            assert line[0] in found, line
            found[line[0]].append(line[1:].strip())
        assert found["?"], block
        assert found["="], block
        near = [tuple(each.split(" ", 1)) for each in found["~"]]
        yield Entry(
            topic,
            tuple(found["?"]),
            tuple(found["="]),
            tuple(found["+"]),
            weight,
            tuple(" ".join(found["@"]).split()),
            tuple((family, pattern) for family, pattern in near),
        )


def _all() -> tuple[Entry, ...]:
    from training.corpus import (
        on_errors,
        on_keys,
        on_limits,
        on_metering,
        on_people,
        on_running,
        on_streaming,
        on_talk,
        on_tiers,
        on_tokens,
        on_versions,
        others,
    )

    modules = (on_keys, on_limits, on_tiers, on_tokens, on_versions, on_errors, on_streaming,
               on_metering, on_running, on_people, on_talk, others)  # fmt: skip
    return tuple(entry for module in modules for entry in module.entries())


ENTRIES: tuple[Entry, ...] = _all()
