"""One entry is one thing to know: the ways to ask for it, and what is true.

`asks` and `answers` are patterns (`grammar.py`), one a line. `also` are short forms that only make
sense after another question of the same topic: "and to revoke it?".
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


def lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines() if line.strip())


def read(topic: str, text: str) -> Iterable[Entry]:
    """Entries written as blocks: lines of `? ask`, `+ also` and `= answer`, blank lines between.

    The answer may go on on lines that begin with none of these.
    """
    for block in text.strip().split("\n\n"):
        found: dict[str, list[str]] = {"?": [], "+": [], "=": []}
        into = found["="]
        for line in lines(block):
            if line[:2] in ("? ", "+ ", "= "):
                into = found[line[0]]
                into.append(line[2:])
            else:
                into[-1] += " " + line
        assert found["?"], block
        assert found["="], block
        yield Entry(topic, tuple(found["?"]), tuple(found["="]), tuple(found["+"]))


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
