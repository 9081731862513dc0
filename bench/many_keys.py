"""Does it matter how many keys there are? CPU and memory with 1,000,000 in the store.

Three loads in turn: a Keyhall whose store holds 10 keys; one whose store holds a million, asked
with 10 of them; the same one, asked with 10,000. The first and the last are compared; the one in
the middle tells whether a difference comes from the store or from the callers in memory.
"""

import argparse
import contextlib
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import bodies
import machine
import servers
from shapes import WHOLE

FEW, USED, TOTAL = 10, 10_000, 1_000_000
SOAK_SECONDS = 65.0  # a window is full after a minute
NAMES = ("10 keys", "1,000,000 keys, 10 in use", "1,000,000 keys, 10,000 in use")


def measure(rounds: int, seconds: float, total: int = TOTAL, soak: float = SOAK_SECONDS) -> dict:
    """Medians per load, their ratio, and how memory grew while 10,000 were in use for `soak`."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyhall-bench-")))
        upstream, _ = stack.enter_context(servers.upstream(folder))
        small = stack.enter_context(servers.keyhall(folder, upstream, used=FEW, name="small"))
        machine.say(f"seeding {total:,} keys")
        large = stack.enter_context(
            servers.keyhall(folder, upstream, used=USED, total=total, name="large")
        )
        few_of_large = replace(large.manner, keys=large.manner.keys[:FEW])
        loads = [
            (small, _file(folder, "small", small.manner)),
            (large, _file(folder, "few", few_of_large)),
            (large, _file(folder, "many", large.manner)),
        ]
        for subject, file in loads[:2]:
            _warm_up(subject, file)
        few_rss_mb = machine.rss_mb(large.pid)
        _warm_up(*loads[2])
        machine.say(f"many keys: all of them in use for {soak:g} s")
        _round(*loads[2], soak)
        many_rss_mb = machine.rss_mb(large.pid)
        figures: list[list[dict]] = [[], [], []]
        for turn in range(
            2 * rounds
        ):  # A tenth is to be told apart, so twice as many as elsewhere.
            for name, (subject, file), done in zip(NAMES, loads, figures, strict=True):
                machine.say(f"many keys: round {turn + 1}, {name}")
                done.append(_round(subject, file, seconds))
        last_rss_mb = machine.rss_mb(large.pid)
        return {
            "total": total,
            "seed_seconds": large.facts["seed_seconds"],
            "ready_seconds": {"10": small.facts["ready_seconds"], "total": _ready(large)},
            "rows": {name: _row(done) for name, done in zip(NAMES, figures, strict=True)},
            "cpu_ratio": _ratio(figures[2], figures[0]),
            "cpu_ratio_same_store": _ratio(figures[2], figures[1]),
            "few_rss_mb": few_rss_mb,
            "many_rss_mb": many_rss_mb,
            "last_rss_mb": last_rss_mb,
            "growth_mb": max(many_rss_mb, last_rss_mb) - few_rss_mb,
            "bad": sum(each["bad"] for done in figures for each in done),
        }


def _ready(subject: servers.Subject) -> float:
    return float(subject.facts["ready_seconds"])


def _file(folder: Path, name: str, manner: bodies.Manner) -> Path:
    return bodies.write(folder / f"{name}.requests", manner, size=WHOLE.size, count=USED)


def _warm_up(subject: servers.Subject, file: Path) -> None:
    """Every request of the file twice: once to look the keys up, once with all of them known."""
    for _ in range(2):
        machine.load(subject.port, file, connections=WHOLE.connections, seconds=20, count=USED)


def _round(subject: servers.Subject, file: Path, seconds: float) -> dict:
    before = machine.cpu_us(subject.pid)
    figures = machine.load(subject.port, file, connections=WHOLE.connections, seconds=seconds)
    figures["cpu_us"] = (machine.cpu_us(subject.pid) - before) / max(1, figures["ok"])
    return figures


def _row(figures: list[dict]) -> dict:
    return {
        field: statistics.median(each[field] for each in figures) for field in ("rps", "cpu_us")
    }


def _ratio(figures: list[dict], others: list[dict]) -> float:
    pairs = zip(figures, others, strict=True)
    return statistics.median(one["cpu_us"] / other["cpu_us"] for one, other in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--total", type=int, default=TOTAL, help="keys in the store")
    parser.add_argument("--soak", type=float, default=SOAK_SECONDS, help="seconds")
    arguments = parser.parse_args()
    machine.prepare()
    import acceptance
    import report

    found = measure(arguments.rounds, arguments.seconds, arguments.total, arguments.soak)
    result = {"many_keys": found}
    print("\n".join(report.many_keys(found)))
    print("\n".join(report.verdicts(acceptance.judge(result))))


if __name__ == "__main__":
    main()
