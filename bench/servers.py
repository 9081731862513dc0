"""The servers that are measured: the fake upstream itself, nginx, and Keyhall with all on."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import machine
import seed
from bodies import Manner

PACE_US = 2000
# A tier whose limits are never reached: every request pays for the check, none is refused.
SETTINGS = """[log]
level = "warning"

[models]
house = false

[tiers.bench]
limits = { requests_per_minute = 1_000_000_000, tokens_per_minute = 1_000_000_000_000 }
"""


@dataclass
class Subject:
    """A server under test."""

    name: str
    port: int
    pid: int  # 0: not measured
    manner: Manner
    is_peer: bool = False
    data: Path | None = None  # Keyhall's folder
    facts: dict = field(default_factory=dict)
    answered: int = 0


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[tuple[int, int]]:
    """Port and process of the fake upstream."""
    port = machine.free_port()
    command = [str(machine.BUILD / "upstream"), str(port), str(PACE_US)]
    with machine.running(command, machine.LOAD_CORE, log=folder / "upstream.log") as process:
        machine.wait_for(port, "/v1/models", process)
        yield port, process.pid


@contextlib.contextmanager
def nginx(folder: Path, upstream_port: int, manner: Manner) -> Iterator[Subject | None]:
    """`proxy_pass` with keep-alive on both sides, one process; None where there is no nginx."""
    program = shutil.which("nginx", path=machine.PATH)
    if program is None:
        machine.say("nginx is not installed (Debian: apt install nginx-light): no ratios to it")
        yield None
        return
    port = machine.free_port()
    path = _nginx_configuration(folder, port, upstream_port)
    command = [program, "-c", str(path)]
    with machine.running(command, machine.SERVER_CORE, log=folder / "nginx.out") as process:
        machine.wait_for(port, "/v1/models", process)
        said = subprocess.run([program, "-v"], capture_output=True, text=True).stderr
        yield Subject(
            "nginx", port, process.pid, manner, facts={"version": said.split("/")[-1].strip()}
        )


def _nginx_configuration(folder: Path, port: int, upstream_port: int) -> Path:
    path = folder / "nginx.conf"
    path.write_text(
        f"""daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; tcp_nodelay on; client_body_buffer_size 64k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream up {{ server 127.0.0.1:{upstream_port}; keepalive 256; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} reuseport;
    location /v1/ {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer sk-upstream"; proxy_buffering off; }} }}
}}
"""
    )
    return path


@contextlib.contextmanager
def keyhall(
    folder: Path,
    upstream_port: int,
    *,
    used: int,
    total: int = 0,
    name: str = "keyhall",
    shared: Mapping[str, str] = MappingProxyType({}),
    workers: int = 1,
    budgeted: int = 0,
    more: str = "",
) -> Iterator[Subject]:
    """A Keyhall whose store holds `total` keys, of which `used` are in the subject's manner, the
    last `budgeted` of them under a quota of money. `shared` are the settings of a database and a
    Redis, as variables; `more` is TOML behind the usual settings."""
    data, config = folder / name, folder / f"{name}.toml"
    config.write_text(SETTINGS + more)
    began = time.monotonic()
    upstream = f"http://127.0.0.1:{upstream_port}/v1"
    url = shared.get("KEYHALL_DATABASE_URL", "")
    keys = seed.seed(data, upstream, used, total, url=url, budgeted=budgeted)
    facts = {"seed_seconds": time.monotonic() - began}
    port = machine.free_port()
    command = [*python(), "serve", "--port", str(port), "--data", str(data)]
    with machine.running(
        [*command, "--config", str(config), "--workers", str(workers)],
        machine.SERVER_CORE,
        log=folder / f"{name}.log",
        **source(),
        **shared,
        BENCH_UPSTREAM_KEY="sk-upstream",
    ) as process:
        try:
            facts["ready_seconds"] = machine.wait_for(port, "/healthz", process)
        except TimeoutError:
            said = (folder / f"{name}.log").read_text(errors="replace").strip()
            sys.exit(f"Keyhall does not start: {said[-500:] or 'it says nothing'}")
        time.sleep(1)
        before_us = machine.cpu_us(process.pid)
        time.sleep(2)
        facts["idle_cpu_percent"] = (machine.cpu_us(process.pid) - before_us) / 2e6 * 100
        facts["idle_rss_mb"] = machine.rss_mb(process.pid)
        yield Subject(name, port, process.pid, Manner(keys), data=data, facts=facts)


def python() -> list[str]:
    """The words that start Keyhall's command line."""
    return [sys.executable, "-m", "keyhall"]


def source() -> dict[str, str]:
    """The Keyhall that a child runs is the one that this process imports."""
    import keyhall

    return {"PYTHONPATH": str(Path(keyhall.__file__).parents[1])}


def ledger_rows(data: Path) -> int:
    """Rows in the usage table, once everything settled has been written."""
    time.sleep(1)
    with contextlib.closing(sqlite3.connect(f"file:{data / 'keyhall.db'}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM usage").fetchone()[0])
