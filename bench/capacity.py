"""What a number of requests needs, computed from what one request costs.

    python bench/capacity.py            # prints the tables
    python bench/capacity.py --write    # and puts them into the page, src/keyhall/docs/capacity.md

COSTS holds every figure that was measured, with where it comes from. Measure again on your machine,
change them, run this again. A test fails when the page does not say what this prints.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[1] / "src/keyhall/docs/capacity.md"
MARK = re.compile(r"<!-- capacity: (\w+) -->\n.*?<!-- end -->", re.DOTALL)

DAY = 86_400
MONTH = 30 * DAY
SLOTS = 16_384  # of a process's journal: requests that are open or not yet written
KNOWN = 50_000  # keys that a process remembers
FEW, COUNTS_A_SECOND = 64, 10  # of processes, as in `beat.lua`
BUSY = 0.7  # of a core that may be used: above it, waiting grows fast


class Cost(NamedTuple):
    amount: float
    unit: str
    source: str


_SHARED = "`make bench-shared`, whole answers of 270 B"
_ROWS = "`bench/usage_rows.py`, 200,000 rows, 2,000 at a time"
_QUOTAS = "`make bench-shared`, quotas of 100 keys"

COSTS = {
    "memory_us": Cost(158, "µs of CPU a request, one process, SQLite", _SHARED),
    "shared_us": Cost(177, "µs of CPU a request, Redis and PostgreSQL", _SHARED),
    "event_us": Cost(31, "µs of CPU for a stream's event that comes alone", "`make bench`"),
    "bulk_us": Cost(7, "µs of CPU for a stream's event that comes with others", "`make bench`"),
    "redis_us": Cost(40, "µs of Redis' core a request: hold and settle", _SHARED),
    "beat_us": Cost(
        12, "µs of Redis' core for a process's sign of life, each second", "`bench/counters.py`"
    ),
    "member_us": Cost(0.7, "µs more for each process that Redis knows", "`bench/counters.py`"),
    "row_us": Cost(9, "µs of PostgreSQL's CPU to take a usage row in", _ROWS),
    "lone_row_us": Cost(19, "µs of it where rows come 100 at a time", "the same, 100 at a time"),
    "hour_us": Cost(1.4, "µs of it to add a row to its hour", _ROWS),
    "touch_us": Cost(30, "µs of it to note a key's last use", "`bench/usage_rows.py`"),
    "touch_log_bytes": Cost(910, "bytes of PostgreSQL's log (WAL) for that", "the same"),
    "log_bytes": Cost(610, "bytes of PostgreSQL's log (WAL) a usage row", _ROWS),
    "table_bytes": Cost(273, "bytes of a usage row in PostgreSQL's table", _ROWS),
    "index_bytes": Cost(104, "bytes of it in the three indexes", _ROWS),
    "sqlite_bytes": Cost(242, "bytes of a usage row in SQLite, indexes included", _ROWS),
    "redis_wire_bytes": Cost(780, "bytes between Keyhall and Redis a request", _SHARED),
    "copy_bytes": Cost(
        400,
        "bytes between Keyhall and PostgreSQL a request",
        "a row in COPY, its batch and answers",
    ),
    "relay_bytes": Cost(
        3_000,
        "bytes of a short request and its answer, on both sides",
        "0.3 and 0.6 kB with their heads",
    ),
    "window_bytes": Cost(250, "bytes of Redis' memory for a key in use", _SHARED),
    "full_window_bytes": Cost(2_600, "bytes of it for one used in every second", "`hold.lua`"),
    "key_bytes": Cost(5_600, "bytes of a process's memory for a key in use", "`make bench`"),
    "stream_bytes": Cost(40_960, "bytes of memory for an open stream, at most", "`tests/faults/`"),
    "process_mb": Cost(120, "MB of a process's memory before that", "`make bench`"),
    "quota_us": Cost(753, "µs of PostgreSQL's CPU a request under a quota of money", _QUOTAS),
    "quota_rate": Cost(1_090, "requests a second of a process under such quotas", _QUOTAS),
    "connections": Cost(12, "connections of a process to PostgreSQL, at most", "its source"),
}


def cost(name: str) -> float:
    return COSTS[name].amount


def _table(head: list[str], rows: list[list[str]]) -> str:
    marks = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))


def _number(amount: float) -> str:
    """Two digits that count, since no more of them is true."""
    if not amount:
        return "0"
    digits = 1 - len(str(int(amount))) + 1 if amount >= 10 else 1
    return f"{round(amount, digits):,.{max(0, digits)}f}"


def _bytes(amount: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000:
            return f"{_number(amount)} {unit}"
        amount /= 1000
    return f"{_number(amount)} PB"


# --- The tables -----------------------------------------------------------------------------------


def costs() -> str:
    rows = [[each.unit, f"{each.amount:,g}", each.source] for each in COSTS.values()]
    return "\n".join(
        f"| {' | '.join(cells)} |"
        for cells in (["one", "takes", "measured by"], ["---", "---:", "---"], *rows)
    )


def process() -> str:
    """What one process serves, by what it is asked."""
    rows = []
    for what, seconds, extra_us in (
        ("whole answers of a fast engine, 0.1 s", 0.1, 0.0),
        ("whole answers, 2 s", 2.0, 0.0),
        ("streams of 300 events, 6 s, in bulk", 6.0, 300 * cost("bulk_us")),
        ("streams of 300 events, 6 s, each alone", 6.0, 300 * cost("event_us")),
        ("streams of 300 events, 60 s, each alone", 60.0, 300 * cost("event_us")),
    ):
        by_cpu = BUSY * 1e6 / (cost("shared_us") + extra_us)
        by_slots = BUSY * SLOTS / seconds
        rate = min(by_cpu, by_slots)
        memory = cost("process_mb") * 1e6 + rate * seconds * cost("stream_bytes")
        rows.append(
            [
                what,
                _number(rate),
                "CPU" if by_cpu <= by_slots else "journal slots",
                _number(rate * seconds),
                _bytes(memory),
            ]
        )
    return _table(["asked for", "requests/s", "bound by", "open at once", "memory"], rows)


def redis_of(requests: float, processes: float) -> float:
    """Cores of Redis: counters, and the signs of life. Few processes are all looked at by each of
    them, each second; many are counted ten times a second for all."""
    counts = min(processes, COUNTS_A_SECOND) if processes > FEW else processes
    beats = processes * (cost("beat_us") + counts * cost("member_us"))
    return (requests * cost("redis_us") + beats) / 1e6


def postgres_of(requests: float, processes: float, keys: float) -> float:
    """Cores of PostgreSQL: rows, hours, and last uses, which each process notes for itself; what
    another has noted within the minute is counted as if it were written too: nobody has measured
    how much less it is to look and leave it."""
    in_batches = requests / processes >= 4 * 1_000  # a batch each 0.25 s
    row_us = cost("row_us") if in_batches else cost("lone_row_us")
    touches = min(keys * processes / 30, requests)
    return (requests * (row_us + cost("hour_us")) + touches * cost("touch_us")) / 1e6


KEYS = 10_000  # in use within 30 s, at every process


def nodes() -> str:
    """Nodes of one process and core each, all of them 70 % busy with short requests."""
    streams_us = cost("shared_us") + 300 * cost("event_us")
    alone = BUSY * 1e6 / cost("memory_us")
    alone_streams = BUSY * 1e6 / (cost("memory_us") + 300 * cost("event_us"))
    month = _bytes(MONTH * alone * cost("sqlite_bytes"))
    rows = [["1, with SQLite", _number(alone), _number(alone_streams), *["-"] * 4, month]]
    for count in (1, 10, 100, 1_000):
        requests = count * BUSY * 1e6 / cost("shared_us")
        rows.append(
            [
                f"{count:,}",
                _number(requests),
                _number(count * BUSY * 1e6 / streams_us),
                f"{redis_of(requests, count):,.2f}",
                f"{postgres_of(requests, count, KEYS):,.1f}",
                _bytes(requests * cost("log_bytes")),
                f"{count * cost('connections'):,.0f}",
                _bytes(MONTH * requests * _row_bytes()),
            ]
        )
    head = ["nodes", "requests/s", "or streams/s", "cores of Redis", "cores of PostgreSQL"]
    return _table([*head, "its log a second", "its connections", "usage a month"], rows)


def _row_bytes() -> float:
    return cost("table_bytes") + cost("index_bytes")


def hundred_thousand() -> str:
    """What everything needs at 100,000 requests a second, short ones and under quotas."""
    requests = 100_000.0
    processes = -(-requests * cost("shared_us") // (BUSY * 1e6))
    touches = min(KEYS / 60, requests)  # so many are written
    log = requests * cost("log_bytes") + touches * cost("touch_log_bytes")
    wires = requests * (cost("redis_wire_bytes") + cost("copy_bytes") + cost("relay_bytes"))
    redis = redis_of(requests, processes)
    postgres = postgres_of(requests, processes, KEYS)
    rows = [
        ["processes of Keyhall, one core each", f"{processes:,.0f}"],
        ["the same with streams of 300 events, each alone", _streams(requests)],
        ["cores of Redis", f"{redis:,.1f}"],
        ["primaries of Redis, 70 % busy", f"{-(-redis // BUSY):,.0f}"],
        ["cores of PostgreSQL for usage and last uses", f"{postgres:,.1f}"],
        ["cores of it more, if all are under quotas of money", _quotas(requests)],
        ["processes of Keyhall then", f"{requests / cost('quota_rate'):,.0f}"],
        ["connections to it, at most", f"{processes * cost('connections'):,.0f}"],
        ["its log (WAL)", f"{_bytes(log)}/s, {_bytes(DAY * log)} a day"],
        ["usage: table and indexes, a day", _bytes(DAY * requests * _row_bytes())],
        ["usage: table and indexes, a month", _bytes(MONTH * requests * _row_bytes())],
        ["usage rows a month", f"{MONTH * requests:,.0f}"],
        ["network, all of it together", f"{_number(8 * wires / 1e9)} Gbit/s"],
        ["memory of Redis for a million keys in use", _windows(1e6)],
        ["memory of a process for the 50,000 keys it knows", _bytes(KNOWN * cost("key_bytes"))],
    ]
    return _table(["at 100,000 requests a second", "needed"], rows)


def _streams(requests: float) -> str:
    each = cost("shared_us") + 300 * cost("event_us")
    return f"{_number(requests * each / (BUSY * 1e6))}"


def _windows(keys: float) -> str:
    least, most = (_bytes(keys * cost(name)) for name in ("window_bytes", "full_window_bytes"))
    return f"{least} to {most}"


def _quotas(requests: float) -> str:
    return _number(requests * cost("quota_us") / 1e6)


def storage() -> str:
    rows = []
    for requests in (1.0, 100.0, 1_000.0, 10_000.0, 100_000.0):
        cells = [f"{requests:,.0f}"]
        for each in (cost("sqlite_bytes"), _row_bytes()):
            cells += [_bytes(span * requests * each) for span in (DAY, MONTH)]
        rows.append(cells)
    head = ["requests/s, day and night", "SQLite a day", "a month", "PostgreSQL a day", "a month"]
    return _table(head, rows)


def bounds() -> str:
    """Where each part ends, by itself."""
    primary = BUSY * 1e6 / cost("redis_us")
    beats = BUSY / 10 * 1e6 / (cost("beat_us") + COUNTS_A_SECOND * cost("member_us"))
    rows = [
        ["one Redis primary, 70 % busy: requests a second", _number(primary)],
        ["signs of life take a tenth of that at: processes", _number(beats)],
        ["eight cores of PostgreSQL, 70 % busy: rows a second", _number(_rows_a_second(8))],
        ["500 connections of PostgreSQL: processes", _number(500 / cost("connections"))],
        ["one process: requests a second under quotas", _number(cost("quota_rate"))],
        ["eight cores of PostgreSQL: requests a second under quotas", _number(_held_a_second(8))],
    ]
    return _table(["what ends", "at"], rows)


def _rows_a_second(cores: int) -> float:
    return cores * BUSY * 1e6 / (cost("row_us") + cost("hour_us"))


def _held_a_second(cores: int) -> float:
    return cores * BUSY * 1e6 / cost("quota_us")


TABLES: dict[str, Callable[[], str]] = {
    each.__name__: each for each in (costs, process, nodes, bounds, hundred_thousand, storage)
}


def filled(page: str) -> str:
    """The page with its tables computed again."""
    return MARK.sub(
        lambda found: f"<!-- capacity: {found[1]} -->\n{TABLES[found[1]]()}\n<!-- end -->", page
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    if parser.parse_args().write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    for table in TABLES.values():
        print(f"{table()}\n")


if __name__ == "__main__":
    main()
