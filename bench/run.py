"""`make bench`: Keyhall with everything on, against direct calls and nginx, in one run.

The server under test is pinned to one core, load generator and fake upstream to the other; rounds
alternate (direct, nginx, keyhall, direct, ...), figures are medians. CPU time per request and the
ratios to nginx in the same run are what to trust; requests per second and latencies of a shared
machine are not comparable between runs. "Everything on": HMAC authentication over 10,000 keys,
limits on key, project and organization, exact token count, journal, ledger, strict parser; 10,000
distinct bodies, so that nothing can be remembered.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bodies
import machine
import report
import seed

KEYS = 10_000
PACE_US = 2000
WARM_UP_SECONDS = 4.0  # every key is looked up once before anything is counted
# A tier whose limits are never reached: every request pays for the check, none is refused.
SETTINGS = """[log]
level = "warning"

[tiers.bench]
limits = { requests_per_minute = 1_000_000_000, tokens_per_minute = 1_000_000_000_000 }
"""


@dataclass
class Shape:
    """One kind of load."""

    name: str
    size: int
    stream: bool = False
    model: str = "bench"
    rate: float = 0.0
    connections: int = 32
    is_latency: bool = False


SHAPES = [
    Shape("whole, 270 B", 270),
    Shape("whole, 1.2 kB", 1200),
    Shape("stream of 20 events, in bulk", 330, stream=True),
    Shape("stream of 20 events, one each 2 ms", 330, stream=True, model="paced", connections=64),
    Shape("whole, 270 B, at 500 a second", 270, rate=500, is_latency=True),
]


@dataclass
class Subject:
    """A server under test."""

    name: str
    port: int
    pid: int  # 0: not measured
    rounds: dict[str, list[dict]] = field(default_factory=dict)


def nginx_configuration(folder: Path, port: int, upstream: int) -> Path:
    path = folder / "nginx.conf"
    path.write_text(
        f"""daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; tcp_nodelay on; client_body_buffer_size 64k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} reuseport;
    location /v1/ {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer sk-upstream"; proxy_buffering off; }} }}
}}
"""
    )
    return path


@contextlib.contextmanager
def keyhall_server(
    folder: Path, upstream: int
) -> Iterator[tuple[subprocess.Popen, int, list[str], dict]]:
    """A seeded Keyhall, its port, its keys, and how it started."""
    data = folder / "data"
    config = folder / "keyhall.toml"
    config.write_text(SETTINGS)
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    env |= {"BENCH_UPSTREAM_KEY": "sk-upstream", "KEYHALL_CONFIG": str(config)}
    keys = seed.seed(data, f"http://127.0.0.1:{upstream}/v1", KEYS)
    port = machine.free_port()
    command = [sys.executable, "-m", "keyhall", "serve", "--port", str(port), "--data", str(data)]
    with machine.running(
        command, machine.SERVER_CORE, env=env, log=folder / "keyhall.log"
    ) as process:
        began = time.monotonic()
        machine.wait_for(port, "/healthz")
        facts = {"start_seconds": time.monotonic() - began}
        time.sleep(1)
        facts["idle_rss_mb"] = machine.rss_mb(process.pid)
        yield process, port, keys, facts


def measure(subject: Subject, shape: Shape, file: Path, seconds: float) -> dict:
    before = machine.cpu_us(subject.pid) if subject.pid else 0.0
    figures = machine.load(
        subject.port, file, connections=shape.connections, seconds=seconds, rate=shape.rate
    )
    used = machine.cpu_us(subject.pid) - before if subject.pid else 0.0
    figures["cpu_us"] = used / max(1, figures["ok"])
    figures["rss_mb"] = machine.rss_mb(subject.pid) if subject.pid else 0.0
    return figures


def run(arguments: argparse.Namespace) -> dict:
    machine.build()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keyhall-bench-")))
        upstream = machine.free_port()
        command = [str(machine.BUILD / "upstream"), str(upstream), str(PACE_US)]
        stack.enter_context(machine.running(command, machine.LOAD_CORE))
        machine.wait_for(upstream, "/v1/models")
        machine.say("seeding 10,000 keys, writing request files")
        process, port, keys, facts = stack.enter_context(keyhall_server(folder, upstream))
        subjects = [Subject("direct", upstream, 0)]
        if shutil.which("nginx"):
            nginx_port = machine.free_port()
            configuration = nginx_configuration(folder, nginx_port, upstream)
            nginx = stack.enter_context(
                machine.running(["nginx", "-c", str(configuration)], machine.SERVER_CORE)
            )
            machine.wait_for(nginx_port, "/v1/models")
            subjects.append(Subject("nginx", nginx_port, nginx.pid))
        else:
            machine.say("nginx is not installed (apt install nginx-light): no ratios to it")
        subjects.append(Subject("keyhall", port, process.pid))
        if arguments.peers:
            import peers

            subjects += stack.enter_context(peers.servers(folder, upstream))
        for number, shape in enumerate(s for s in SHAPES if arguments.only in s.name):
            file = bodies.write(
                folder / f"requests-{number}.bin",
                keys,
                size=shape.size,
                model=shape.model,
                stream=shape.stream,
                seed=number,
            )
            for subject in subjects:
                measure(subject, shape, file, WARM_UP_SECONDS)
                subject.rounds[shape.name] = []
            for turn in range(arguments.rounds):
                for subject in subjects:
                    machine.say(f"{shape.name}: round {turn + 1}, {subject.name}")
                    figures = measure(subject, shape, file, arguments.seconds)
                    subject.rounds[shape.name].append(figures)
        facts["loaded_rss_mb"] = machine.rss_mb(process.pid)
        return summary(subjects, facts, arguments)


def summary(subjects: list[Subject], facts: dict, arguments: argparse.Namespace) -> dict:
    """Medians per subject and shape, and the ratios to nginx."""
    result: dict = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "keyhall": facts,
        "shapes": {},
    }
    for shape in SHAPES:
        rows = {}
        for subject in subjects:
            rounds = subject.rounds.get(shape.name)
            if rounds:
                rows[subject.name] = {
                    name: statistics.median(figures[name] for figures in rounds)
                    for name in ("rps", "cpu_us", "p50", "p99", "first50", "rss_mb", "bad")
                }
        for row in rows.values():
            if "nginx" in rows:
                row["of_nginx"] = row["rps"] / rows["nginx"]["rps"]
            if shape.is_latency:
                row["added_p50"] = row["p50"] - rows["direct"]["p50"]
                row["added_p99"] = row["p99"] - rows["direct"]["p99"]
        if rows:
            result["shapes"][shape.name] = rows
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="", help="part of a shape's name")
    parser.add_argument("--peers", action="store_true", help="measure other gateways too")
    parser.add_argument("--json", dest="json_path", help="also write the figures to this file")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    arguments = parser.parse_args()
    result = run(arguments)
    text = report.markdown(result)
    print(text)
    if arguments.json_path:
        Path(arguments.json_path).write_text(json.dumps(result, indent=2) + "\n")
    if arguments.write:
        (machine.HERE / "RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
