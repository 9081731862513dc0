"""What the filter costs a request: Keyhall without a filter, and with one, beside nginx.

With one means 2,000 terms and all built-in patterns, on what is asked and on what is answered. Both
servers and nginx are measured in turn on the same core, with loads of `run.py`; no text has a hit.
"""

import argparse
import contextlib
import random
import statistics
import tempfile
from pathlib import Path

import bodies
import machine
import report
import servers
from shapes import BULK, PACED, WHOLE, Shape

TERMS = 2_000
USED = 1_000
NAMES = ("nginx", "without a filter", "with a filter")
FILTER = """
[filter]
terms = ["{terms}"]
terms_action = "block"
secrets = "block"
cards = "mask"
iban = "mask"
email = "mask"
phone = "mask"
signs = "mask"
"""


def measure(rounds: int, seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """Medians of requests a second and CPU per request, by shape and server."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyhall-bench-")))
        upstream, _ = stack.enter_context(servers.upstream(folder))
        drawn = random.Random(1)
        letters = "abcdefghijklmnopqrstuvwxyz"
        words = ("".join(drawn.choices(letters, k=drawn.randint(6, 12))) for _ in range(TERMS))
        terms = folder / "terms.txt"
        terms.write_text("\n".join(words) + "\n")
        off = stack.enter_context(servers.keyhall(folder, upstream, used=USED, name="off"))
        on = stack.enter_context(
            servers.keyhall(folder, upstream, used=USED, name="on", more=FILTER.format(terms=terms))
        )
        nginx = stack.enter_context(servers.nginx(folder, upstream, off.manner))
        if nginx is None:
            raise SystemExit("Without nginx there is nothing to measure by.")
        return {
            shape.name: _shape(folder, shape, [nginx, off, on], rounds, seconds)
            for shape in (WHOLE, BULK, PACED)
        }


def _shape(
    folder: Path, shape: Shape, subjects: list[servers.Subject], rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    files = [
        bodies.write(
            folder / f"{subject.name}.{shape.size}.requests", subject.manner, size=shape.size,
            count=USED, stream=shape.stream, model=shape.model,
        )
        for subject in subjects
    ]  # fmt: skip
    for subject, file in zip(subjects, files, strict=True):  # All keys known, the filter compiled.
        machine.load(subject.port, file, connections=shape.connections, seconds=2)
    figures: list[list[dict]] = [[] for _ in subjects]
    for number in range(rounds):
        for name, subject, file, done in zip(NAMES, subjects, files, figures, strict=True):
            machine.say(f"{shape.name}: round {number + 1}, {name}")
            before = machine.cpu_us(subject.pid)
            found = machine.load(subject.port, file, connections=shape.connections, seconds=seconds)
            found["cpu_us"] = (machine.cpu_us(subject.pid) - before) / max(1, found["ok"])
            done.append(found)
    return {
        name: {
            field: statistics.median(each[field] for each in done)
            for field in ("rps", "cpu_us", "bad")
        }
        for name, done in zip(NAMES, figures, strict=True)
    }


def told(found: dict[str, dict[str, dict[str, float]]], rounds: int) -> list[str]:
    lines = [
        f"`bench/filtered.py`: medians of {rounds} rounds in turn; {TERMS:,} terms and all "
        "built-in patterns, on what is asked and answered, without a hit.",
        "",
        "| load | share of nginx without | with a filter | CPU µs a request without | with | "
        "added |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for shape, rows in found.items():
        nginx, off, on = (rows[name] for name in NAMES)
        lines.append(
            f"| {shape} | {off['rps'] / nginx['rps']:.3f} | {on['rps'] / nginx['rps']:.3f} | "
            f"{off['cpu_us']:.1f} | {on['cpu_us']:.1f} | {on['cpu_us'] - off['cpu_us']:+.1f} |"
        )
    bad = sum(row["bad"] for rows in found.values() for row in rows.values())
    return lines if not bad else [*lines, "", f"**{bad:.0f} answers were not as they should be.**"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--write", action="store_true", help="put them into RESULTS.md and .json")
    arguments = parser.parse_args()
    machine.prepare()
    lines = told(measure(arguments.rounds, arguments.seconds), arguments.rounds)
    print("\n".join(lines))
    if arguments.write:
        report.publish_section("The filter in the lane", lines)


if __name__ == "__main__":
    main()
