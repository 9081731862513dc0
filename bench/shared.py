"""`make bench-shared`: one process in memory against processes that share Redis and PostgreSQL.

The same load on one process with SQLite, on one with Redis and PostgreSQL, and on keys under a
quota of money, whose holds are transactions; twice its clients on two workers with both, so that
each process has as many (with fewer its turns are shorter, whatever it shares). Keyhall has the
core of the servers, whatever the number of its processes; everything else has the other. What
Redis and PostgreSQL take is told apart. Rounds alternate, and ratios are between neighbouring
rounds.
"""

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import acceptance
import answers
import bodies
import machine
import report
import servers
import stores
from servers import Subject
from shapes import BULK, PACED, WHOLE, WHOLE_LONG, Shape

KEYS = 10_000
BUDGETED = 101  # keys with a quota each: a hundred in turn, and one alone
SETTLED_SECONDS = 0.4  # after a load: usage is written at most every 0.25 s
WARM_UP_SECONDS = 90.0  # at most; a quiet machine needs 20 for the longest
UNFINISHED = machine.BUILD / "shared.json"

MEMORY = "memory, SQLite"
ONE, TWO = "1 worker, Redis, PostgreSQL", "2 workers, Redis, PostgreSQL"
BUDGETS, BUDGET = "1 worker, quotas of 100 keys", "1 worker, a quota of one key"
SHAPES = (WHOLE, WHOLE_LONG, BULK, PACED)
FIELDS = (
    "rps", "cpu_us", "p50", "p99", "rss_mb", "redis_us", "postgres_us", "scripts",
    "script_us", "redis_bytes", "log_bytes",
)  # fmt: skip


@dataclass
class Case:
    """A Keyhall and a set of its keys."""

    name: str
    subject: Subject
    keys: list[str]
    is_shared: bool = True
    shapes: tuple[Shape, ...] = SHAPES
    workers: int = 1  # each with as many clients as the one in memory has
    # Of all its keys, until every process knows them: a look-up costs as much as five requests.
    passes: int = 2
    answered: int = 0


@dataclass(frozen=True)
class House:
    """All that runs, for as long as the block of `_house`."""

    folder: Path
    redis: stores.Redis
    postgres: stores.Postgres
    cases: list[Case]
    urls: dict[int, str]  # databases, by the process that serves them


@contextlib.contextmanager
def _house() -> Iterator[House]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyhall-bench-")))
        upstream, _ = stack.enter_context(servers.upstream(folder))
        postgres = stack.enter_context(stores.postgres())
        redis = stack.enter_context(stores.redis(folder))
        machine.say(f"seeding {KEYS:,} keys three times")
        alone = stack.enter_context(servers.keyhall(folder, upstream, used=KEYS, name="alone"))
        urls, halls = {}, []
        for workers, budgeted in ((1, BUDGETED), (2, 0)):
            url = postgres.create(f"workers_{workers}")
            hall = stack.enter_context(
                servers.keyhall(
                    folder,
                    upstream,
                    used=KEYS + budgeted,
                    name=f"shared-{workers}",
                    shared={"KEYHALL_DATABASE_URL": url, "KEYHALL_REDIS_URL": redis.url},
                    workers=workers,
                    budgeted=budgeted,
                )
            )
            urls[hall.pid] = url
            halls.append(hall)
        one, two = halls
        keys = [*one.manner.keys]
        cases = [
            Case(MEMORY, alone, [*alone.manner.keys], is_shared=False),
            Case(ONE, one, keys[:KEYS]),
            Case(TWO, two, [*two.manner.keys], workers=2, passes=12),  # all but 1 in 4,096
            Case(BUDGETS, one, keys[KEYS:-1], shapes=(WHOLE,)),
            Case(BUDGET, one, keys[-1:], shapes=(WHOLE,)),
        ]
        yield House(folder, redis, postgres, cases, urls)


def measure(
    rounds: int, seconds: float, only: str = "", done: Callable[[str, dict], None] | None = None,
    known: dict | None = None,
) -> dict:  # fmt: skip
    """Figures by shape and case, those `known` already among them, and the books at the end.
    `done` is told of each shape."""
    shapes: dict[str, dict] = dict(known or {})
    with _house() as house:
        for shape in SHAPES:
            if only not in shape.name or shape.name in shapes:
                continue
            shapes[shape.name] = _figures(_rounds(house, shape, rounds, seconds))
            if done is not None:
                done(shape.name, shapes[shape.name])
        return {
            "about": {
                **report.about([]),
                "versions": {
                    "PostgreSQL": house.postgres.version(),
                    "Redis": house.redis.info("server")["redis_version"],
                },
            },
            "rounds": rounds,
            "seconds": seconds,
            "shapes": {shape.name: shapes[shape.name] for shape in SHAPES if shape.name in shapes},
            "books": _books(house),
        }


def _rounds(house: House, shape: Shape, rounds: int, seconds: float) -> dict[str, list[dict]]:
    files: dict[str, Path] = {}
    cases = [case for case in house.cases if shape in case.shapes]
    for case in cases:
        files[case.name] = _file(house, shape, case)
        problem = answers.problem(case.subject.port, files[case.name], stream=shape.stream)
        if problem is not None:
            raise SystemExit(f"{case.name} ({shape.name}): {problem}")
        machine.say(f"{shape.name}: warming up, {case.name}")
        count = case.passes * min(KEYS, 10 * len(case.keys))
        figures = machine.load(
            case.subject.port,
            files[case.name],
            connections=case.workers * shape.connections,
            seconds=WARM_UP_SECONDS,
            count=count,
        )
        if figures["ok"] + figures["bad"] < count:
            machine.say("  cut short: keys are still looked up in its rounds; do not believe them")
        case.answered += 1 + figures["ok"]
        case.passes = 1  # Its keys are known now.
    found: dict[str, list[dict]] = {case.name: [] for case in cases}
    for turn in range(rounds):
        for case in cases:
            machine.say(f"{shape.name}: round {turn + 1}, {case.name}")
            found[case.name].append(_round(house, shape, case, files[case.name], seconds))
    return found


def _file(house: House, shape: Shape, case: Case) -> Path:
    return bodies.write(
        house.folder / f"{house.cases.index(case)}.requests",
        replace(case.subject.manner, keys=case.keys),
        size=shape.size,
        model=shape.model,
        stream=shape.stream,
        count=KEYS,
        seed=SHAPES.index(shape),
    )


def _used(house: House, case: Case) -> dict[str, float]:
    """What has been used so far, by everybody who serves the case."""
    used = {"cpu_us": machine.cpu_us(case.subject.pid)}
    if case.is_shared:
        calls, script_us = house.redis.scripts()
        used |= {
            "redis_us": house.redis.cpu_us(),
            "postgres_us": house.postgres.cpu_us(),
            "scripts": calls,
            "script_us": script_us,
            "redis_bytes": house.redis.network_bytes(),
            "log_bytes": house.postgres.log_bytes(),
        }
    return used


def _round(house: House, shape: Shape, case: Case, file: Path, seconds: float) -> dict:
    before = _used(house, case)
    figures = machine.load(
        case.subject.port, file, connections=case.workers * shape.connections, seconds=seconds
    )
    time.sleep(SETTLED_SECONDS)  # Until its usage is written, so that this is counted too.
    after = _used(house, case)
    answered = max(1, figures["ok"])
    figures |= {name: (after[name] - before[name]) / answered for name in after}
    figures["rss_mb"] = machine.rss_mb(case.subject.pid)
    case.answered += figures["ok"]
    return figures


def _figures(rounds: dict[str, list[dict]]) -> dict[str, dict]:
    """Medians per case, and its CPU against that of the neighbouring round in memory."""
    rows = {}
    for name, figures in rounds.items():
        row = {
            field: statistics.median(each.get(field, 0.0) for each in figures) for field in FIELDS
        }
        row["bad"] = sum(each["bad"] for each in figures)
        row["cpu_of_memory"] = statistics.median(
            each["cpu_us"] / memory["cpu_us"]
            for each, memory in zip(figures, rounds[MEMORY], strict=True)
        )
        rows[name] = row
    return rows


def _books(house: House) -> dict:
    """Answers and rows of each Keyhall; and quotas against what their keys used."""
    time.sleep(1)
    books: dict = {"answered": 0, "rows": 0, "quota_used_nano": 0, "quota_cost_nano": 0, "held": 0}
    books["answered"] = sum(case.answered for case in house.cases)
    alone = house.cases[0].subject
    assert alone.data is not None
    books["rows"] = servers.ledger_rows(alone.data)
    for url in house.urls.values():
        for name, query in _QUERIES.items():
            books[name] += house.postgres.ask(query, url)
    usage_bytes = house.postgres.ask(
        "SELECT pg_total_relation_size('usage')", house.urls[house.cases[1].subject.pid]
    )
    memory = house.redis.info("memory")
    keyspace = house.redis.info("keyspace").get("db0", "keys=0")
    books["usage_bytes"] = usage_bytes
    books["redis_bytes"] = int(memory["used_memory_dataset"])
    books["redis_keys"] = int(keyspace.partition("=")[2].partition(",")[0])
    return books


_QUERIES = {
    "rows": "SELECT count(*) FROM usage",
    "quota_used_nano": "SELECT sum(used) FROM quota_totals",
    "quota_cost_nano": (
        "SELECT sum(cost_nano) FROM usage WHERE key_id IN (SELECT scope_id FROM quotas)"
    ),
    "held": "SELECT (SELECT count(*) FROM quota_holds) + (SELECT coalesce(sum(held), 0) "
    "FROM quota_totals)",
}


def _unfinished(arguments: argparse.Namespace) -> tuple[dict, dict]:
    """What a run of the same commit and length is known by, and the shapes that it had done."""
    mark = {
        "keyhall": report.about([])["keyhall"],
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
    }
    known: dict = {}
    if arguments.resume and UNFINISHED.exists():
        kept = json.loads(UNFINISHED.read_text())
        known = kept["shapes"] if kept["mark"] == mark else {}
    return mark, known


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--only", default="", help="part of a shape's name; nothing else runs")
    parser.add_argument("--resume", action="store_true", help="go on where a run was broken off")
    parser.add_argument("--json", dest="json_path", help="also write the figures to this file")
    parser.add_argument("--write", action="store_true", help="put them into RESULTS.md and .json")
    arguments = parser.parse_args()
    machine.prepare()
    mark, known = _unfinished(arguments)
    kept: dict = {"mark": mark, "shapes": {**known}}

    def done(name: str, rows: dict) -> None:
        kept["shapes"][name] = rows
        UNFINISHED.write_text(json.dumps(kept))

    found = measure(arguments.rounds, arguments.seconds, arguments.only, done, known)
    print("\n".join(report.shared(found)))
    print("\n".join(report.verdicts(acceptance.judge({"shared": found}))))
    if arguments.json_path:
        Path(arguments.json_path).write_text(json.dumps(found, indent=2) + "\n")
    if arguments.write:
        report.publish({**report.published(), "shared": found})
    UNFINISHED.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
