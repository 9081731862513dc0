"""The benchmark's figures as one Markdown page."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path

import acceptance
import machine
from servers import Subject
from shapes import SHAPES, STREAM_EVENTS, Shape


def about(subjects: list[Subject]) -> dict:
    """What ran, where, when."""
    import keyhall

    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "keyhall": f"{keyhall.__version__}{_commit()}",
        "versions": {
            subject.name: subject.facts["version"]
            for subject in subjects
            if "version" in subject.facts
        },
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def published() -> dict:
    """The figures that are published now."""
    path = machine.HERE / "RESULTS.json"
    return json.loads(path.read_text()) if path.exists() else {}


def publish(result: dict) -> None:
    """Write RESULTS.md and RESULTS.json, held against what is asked today."""
    result["acceptance"] = acceptance.judge(result)
    (machine.HERE / "RESULTS.md").write_text(markdown(result))
    (machine.HERE / "RESULTS.json").write_text(json.dumps(result, indent=2) + "\n")


def publish_section(title: str, lines: list[str]) -> None:
    """What a run of its own has found, in a section of its own; one of that title is replaced."""
    result = published()
    publish({**result, "sections": {**result.get("sections", {}), title: lines}})


def _commit() -> str:
    """The commit that was measured, where there is one."""
    git = ["git", "-C", str(machine.HERE)]
    done = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if done.returncode:
        return ""
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "../src"]).returncode
    return f" at {done.stdout.strip()}{' with changes' if changed else ''}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def markdown(result: dict) -> str:
    facts = result["about"]
    others = "".join(f", {name} {version}" for name, version in facts["versions"].items())
    lines = [
        "# Results of `make bench`",
        "",
        f"Keyhall {facts['keyhall']}{others}. Python {facts['python']}, {facts['system']}, "
        f"{facts['cores']} cores of {facts['processor']}, {facts['date']}. Medians of "
        f"{result['rounds']} alternating rounds of {result['seconds']:g} s on one pinned core.",
        "",
        "Trust the CPU time per request and the shares of nginx's rate in the same run; rates and "
        "latencies of a shared machine are not comparable between runs. How it was measured: "
        "[README.md](README.md).",
        "",
    ]
    if result["acceptance"]:
        lines += ["## What is asked, and what was found", "", *verdicts(result["acceptance"]), ""]
    for shape in SHAPES:
        rows = result["shapes"].get(shape.name)
        if rows:
            lines += [f"## {shape.name[0].upper()}{shape.name[1:]}", ""]
            lines += [*(_latency(rows) if shape.rate else _rates(rows, shape)), ""]
    if result["left_out"]:
        lines += ["## Left out", "", *(f"- {text}" for text in result["left_out"]), ""]
    facts = result["keyhall"]
    lines += [
        "## Keyhall itself",
        "",
        f"- memory: {facts['idle_rss_mb']:.0f} MB idle, {facts['loaded_rss_mb']:.0f} MB after the "
        "load of all shapes with 10,000 keys",
        f"- CPU of one core while nobody asks: {facts['idle_cpu_percent']:.1f} %",
    ]
    if "start_up" in result:
        lines += start_up(result["start_up"])
    if "many_keys" in result:
        lines += ["", "## Many keys", "", *many_keys(result["many_keys"])]
    if "shared" in result:
        lines += ["", "## Redis and PostgreSQL, 1 and 2 workers", "", *shared(result["shared"])]
    for title, told in result.get("sections", {}).items():
        lines += ["", f"## {title}", "", *told]
    if result["peers"]:
        lines += ["", "## Peers, before any load", "", *_peers(result)]
    return "\n".join(lines) + "\n"


def verdicts(demands: list[dict]) -> list[str]:
    """A line for each demand."""
    lines = []
    for demand in demands:
        word = "PASS" if demand["passes"] else "FALLS SHORT"
        stretch = f" (stretch {demand['stretch']})" if demand["stretch"] else ""
        lines.append(f"- **{word}** {demand['what']}: {demand['found']}{stretch}")
    return lines


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    numbers = ["---", *(["---:"] * (len(head) - 1))]
    return [f"| {' | '.join(cells)} |" for cells in (head, numbers, *rows)]


def _number(row: dict, name: str, form: str) -> str:
    """A figure, or a dash where it was not measured."""
    return format(row[name], form) if row.get(name) else "-"


def _rates(rows: dict, shape: Shape) -> list[str]:
    head = ["server", "requests/s", "of nginx", "CPU µs a request", "times nginx"]
    if shape.stream:
        head += ["CPU µs an event", "first byte p50 µs"]
    head += ["p50 µs", "p99 µs", "memory MB", "failed"]
    table = []
    for name, row in rows.items():
        cells = [
            name,
            _number(row, "rps", ",.0f"),
            _number(row, "rps_of_nginx", ".3f"),
            _number(row, "cpu_us", ",.1f"),
            _number(row, "cpu_of_nginx", ",.2f"),
        ]
        if shape.stream:
            cells += [_number(row, "cpu_us_event", ",.2f"), _number(row, "first50", ",.0f")]
        cells += [_number(row, name, ",.0f") for name in ("p50", "p99", "rss_mb")]
        table.append([*cells, str(row["bad"])])
    lines = _table(head, table)
    if shape.stream:
        events = f"{STREAM_EVENTS} (20 with words, one with usage, `[DONE]`)"
        lines += ["", f"CPU an event: that of a stream divided by {events}."]
    return lines


def _latency(rows: dict) -> list[str]:
    head = ["server", "p50 µs", "added p50", "p99 µs", "added p99", "CPU µs a request", "failed"]
    table = [
        [
            name,
            format(row["p50"], ",.0f"),
            format(row["added_p50"], "+,.0f"),
            format(row["p99"], ",.0f"),
            format(row["added_p99"], "+,.0f"),
            _number(row, "cpu_us", ",.1f"),
            str(row["bad"]),
        ]
        for name, row in rows.items()
    ]
    return _table(head, table)


def start_up(found: dict) -> list[str]:
    return [
        f"- start to first answer: {found['later_seconds']:.2f} s, "
        f"{found['later_ratio']:.2f} times the import of the core libraries "
        f"({found['import_seconds']:.2f} s); the very first, which makes database and key: "
        f"{found['first_seconds']:.2f} s, {found['first_ratio']:.2f} times",
        f"- memory after its first answer, idle: {found['rss_mb']:.0f} MB",
    ]


def many_keys(found: dict) -> list[str]:
    rows = [
        [name, format(row["rps"], ",.0f"), format(row["cpu_us"], ",.1f")]
        for name, row in found["rows"].items()
    ]
    return [
        *_table(["store", "requests/s", "CPU µs a request"], rows),
        "",
        f"- memory of the large one: {found['few_rss_mb']:.0f} MB with 10 keys in use, "
        f"{found['many_rss_mb']:.0f} MB once 10,000 were, {found['last_rss_mb']:.0f} MB at the end",
        f"- ready after {found['ready_seconds']['total']:.2f} s with {found['total']:,} keys, "
        f"{found['ready_seconds']['10']:.2f} s with 10",
    ]


def shared(found: dict) -> list[str]:
    facts = found["about"]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    head = ["Keyhall on", "CPU µs a request", "times memory", "of Redis", "of PostgreSQL"]
    head += ["requests/s", "p50 µs", "p99 µs", "memory MB", "failed"]
    lines = [
        f"Keyhall {facts['keyhall']}, {versions}, {facts['date']}. Medians of {found['rounds']} "
        f"alternating rounds of {found['seconds']:g} s; all processes of a Keyhall on one core, "
        "the rest on the other. The first columns are CPU µs of one request: of all processes of "
        "Keyhall, and of the two servers.",
    ]
    for name, rows in found["shapes"].items():
        table = []
        for case, row in rows.items():
            cells = [case, _number(row, "cpu_us", ",.1f"), _number(row, "cpu_of_memory", ".2f")]
            cells += [_number(row, field, ",.1f") for field in ("redis_us", "postgres_us")]
            cells += [_number(row, field, ",.0f") for field in ("rps", "p50", "p99", "rss_mb")]
            table.append([*cells, str(row["bad"])])
        lines += ["", f"### {name[0].upper()}{name[1:]}", "", *_table(head, table)]
    for rows in found["shapes"].values():
        row = next((row for row in rows.values() if row["scripts"]), None)
        if row is not None:
            lines += ["", *_apiece(row, found["books"])]
            break
    return lines


def _apiece(row: dict, books: dict) -> list[str]:
    """What one request of one worker took of what is shared."""
    lines = [
        f"- Redis: {row['scripts']:.1f} script calls a request, "
        f"{row['script_us'] / row['scripts']:.1f} µs inside each; {row['redis_bytes']:,.0f} bytes "
        "over its connection",
        f"- PostgreSQL: {row['log_bytes']:,.0f} bytes of its log (WAL) a request",
    ]
    if books["redis_keys"]:
        each = books["redis_bytes"] / books["redis_keys"]
        lines.append(
            f"- memory of Redis: {each:,.0f} bytes for each of {books['redis_keys']:,} keys"
        )
    return lines


def _peers(result: dict) -> list[str]:
    rows = [
        [
            name,
            facts["version"],
            format(facts["start_seconds"], ".2f"),
            format(facts["idle_rss_mb"], ".0f"),
        ]
        for name, facts in result["peers"].items()
    ]
    return _table(["peer", "version", "start to first answer s", "memory MB"], rows)
