"""`make bench`: Keyhall with everything on, against direct calls and nginx, in one run.

The server under test is pinned to one core, load generator and fake upstream to the other; rounds
alternate (direct, nginx, keyhall, direct, ...), figures are medians, shares are medians over the
rounds of what was measured side by side. "Everything on": HMAC authentication over 10,000 keys,
limits on key, project and organization, exact token count, journal, ledger, strict parser; 10,000
distinct bodies, so that nothing can be remembered.
"""

import argparse
import contextlib
import json
import statistics
import tempfile
from pathlib import Path

import acceptance
import answers
import bodies
import machine
import many_keys
import peers
import report
import servers
import start_up
from servers import Subject
from shapes import SHAPES, STREAM_EVENTS, Shape

KEYS = 10_000
WARM_UP_SECONDS = 12.0  # at most; it ends once every request of the file was sent
PEER_WARM_UP_SECONDS = 3.0

Rounds = dict[str, list[dict]]  # by the subject's name


def run(arguments: argparse.Namespace) -> dict:
    """All shapes, then what is measured with servers of its own."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyhall-bench-")))
        upstream, upstream_pid = stack.enter_context(servers.upstream(folder))
        subjects = _subjects(stack, folder, upstream, arguments.peers)
        keyhall = next(subject for subject in subjects if subject.data)
        result: dict = {
            "about": report.about(subjects),
            "rounds": arguments.rounds,
            "seconds": arguments.seconds,
            "shapes": {},
            "left_out": [],
            "peers": {subject.name: subject.facts for subject in subjects if subject.is_peer},
        }
        for shape in SHAPES:
            if arguments.only not in shape.name or (shape.only_with_peers and not arguments.peers):
                continue
            chosen = [each for each in subjects if shape.is_for_peers or not each.is_peer]
            others = [subject for subject in subjects if subject.is_peer]
            rounds = _rounds(
                shape, chosen, others, folder, upstream_pid, arguments, result["left_out"]
            )
            result["shapes"][shape.name] = _figures(shape, rounds)
        assert keyhall.data is not None
        result["keyhall"] = {
            **keyhall.facts,
            "loaded_rss_mb": machine.rss_mb(keyhall.pid),
            "answered": keyhall.answered,
            "ledger_rows": servers.ledger_rows(keyhall.data),
        }
    if not arguments.only:
        result["start_up"] = start_up.measure(arguments.rounds)
        result["many_keys"] = many_keys.measure(arguments.rounds, arguments.seconds)
    result["acceptance"] = acceptance.judge(result)
    return result


def _subjects(
    stack: contextlib.ExitStack, folder: Path, upstream: int, with_peers: bool
) -> list[Subject]:
    machine.say(f"seeding {KEYS:,} keys")
    keyhall = stack.enter_context(servers.keyhall(folder, upstream, used=KEYS))
    nginx = stack.enter_context(servers.nginx(folder, upstream, keyhall.manner))
    subjects = [Subject("direct", upstream, 0, keyhall.manner), nginx, keyhall]
    if with_peers:
        subjects += stack.enter_context(peers.servers(folder, upstream))
    return [subject for subject in subjects if subject is not None]


def _rounds(
    shape: Shape,
    subjects: list[Subject],
    peers: list[Subject],
    folder: Path,
    upstream_pid: int,
    arguments: argparse.Namespace,
    left_out: list[str],
) -> Rounds:
    """Warm every subject up, look at one answer of each, then measure them in turn."""
    files: dict[int, Path] = {}
    rounds: Rounds = {}
    measured = []
    for subject in subjects:
        file = files.get(id(subject.manner)) or _file(shape, subject, folder)
        files[id(subject.manner)] = file
        problem = answers.problem(subject.port, file, stream=shape.stream)
        if problem is not None:
            left_out.append(f"{subject.name} ({shape.name}): {problem}")
            machine.say(f"{left_out[-1]}; left out")
            continue
        subject.answered += 1
        machine.say(f"{shape.name}: warming {subject.name} up")
        seconds = PEER_WARM_UP_SECONDS if subject.is_peer else WARM_UP_SECONDS
        figures = machine.load(
            subject.port, file, connections=shape.connections, seconds=seconds, count=KEYS
        )
        subject.answered += figures["ok"]
        rounds[subject.name] = []
        measured.append(subject)
    for turn in range(arguments.rounds):
        for subject in measured:
            machine.say(f"{shape.name}: round {turn + 1}, {subject.name}")
            file = files[id(subject.manner)]
            pids = [upstream_pid, subject.pid] if subject.pid else [upstream_pid]
            first = machine.first_in_line(pids) if shape.rate else contextlib.nullcontext()
            with machine.asleep(each.pid for each in peers if each is not subject), first:
                figures = _round(subject, shape, file, arguments.seconds)
            rounds[subject.name].append(figures)
    return rounds


def _file(shape: Shape, subject: Subject, folder: Path) -> Path:
    path = folder / f"{subject.name}.requests"
    return bodies.write(
        path,
        subject.manner,
        size=shape.size,
        model=shape.model,
        stream=shape.stream,
        count=KEYS,
        seed=SHAPES.index(shape),
    )


def _round(subject: Subject, shape: Shape, file: Path, seconds: float) -> dict:
    before = machine.cpu_us(subject.pid) if subject.pid else 0.0
    figures = machine.load(
        subject.port,
        file,
        connections=shape.connections,
        seconds=seconds * shape.stretching,
        rate=shape.rate,
    )
    used = machine.cpu_us(subject.pid) - before if subject.pid else 0.0
    figures["cpu_us"] = used / max(1, figures["ok"])
    figures["rss_mb"] = machine.rss_mb(subject.pid) if subject.pid else 0.0
    subject.answered += figures["ok"]
    return figures


def _figures(shape: Shape, rounds: Rounds) -> dict[str, dict]:
    """Medians per subject, and how they stand to nginx and to direct calls."""
    rows = {}
    for name, figures in rounds.items():
        row = {
            field: statistics.median(each[field] for each in figures)
            for field in ("rps", "cpu_us", "p50", "p99", "first50", "rss_mb")
        }
        row["bad"] = sum(each["bad"] for each in figures)
        if shape.stream:
            row["cpu_us_event"] = row["cpu_us"] / STREAM_EVENTS
        if "nginx" in rounds:
            row["rps_of_nginx"] = _median_of(figures, rounds["nginx"], "rps", lambda a, b: a / b)
            row["cpu_of_nginx"] = _median_of(figures, rounds["nginx"], "cpu_us", lambda a, b: a / b)
        if shape.rate and "direct" in rounds:
            for field in ("p50", "p99"):
                row[f"added_{field}"] = _median_of(
                    figures, rounds["direct"], field, lambda a, b: a - b
                )
        rows[name] = row
    return rows


def _median_of(figures: list[dict], others: list[dict], field: str, compare) -> float:
    """Round by round against a neighbour, so that a slow minute of the machine touches both."""
    pairs = zip(figures, others, strict=True)
    return statistics.median(compare(one[field], max(other[field], 1e-9)) for one, other in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--only", default="", help="part of a shape's name; nothing else runs")
    parser.add_argument("--peers", action="store_true", help="measure other gateways too")
    parser.add_argument("--json", dest="json_path", help="also write the figures to this file")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md and .json")
    arguments = parser.parse_args()
    machine.prepare()
    result = run(arguments)
    text = report.markdown(result)
    print(text)
    figures = json.dumps(result, indent=2) + "\n"
    if arguments.json_path:
        Path(arguments.json_path).write_text(figures)
    if arguments.write:
        kept = report.published()  # What others measured, in runs of their own.
        others = {name: kept[name] for name in ("shared", "sections") if name in kept}
        report.publish({**result, **others})


if __name__ == "__main__":
    main()
