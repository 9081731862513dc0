"""Other gateways on the same work: LiteLLM, TensorZero, Portkey.

Each is installed once, into an environment of its own below .bench/peers, in the version named
here. One that cannot be had or started says so in a line and is left out. They get the same fake
upstream, the same core and the same bodies, and what their own pages advise for production: no
database, no logging, one worker.
"""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import answers
import bodies
import machine
from bodies import Manner
from servers import Subject

FOLDER = machine.BUILD / "peers"
INSTALL_SECONDS = 900
START_SECONDS = 60


class Missing(Exception):
    """A peer that cannot be had; the text says why."""


@dataclass(frozen=True)
class Started:
    """How to start a peer and how to ask it."""

    command: list[str]
    manner: Manner
    variables: dict[str, str]


@dataclass(frozen=True)
class Peer:
    name: str
    version: str
    install: Callable[[Path, str], None]
    configure: Callable[[Path, int, int], Started]  # scratch folder, own port, upstream's port


# --- Installing -----------------------------------------------------------------------------------


def _environment(requirement: str) -> Callable[[Path, str], None]:
    def install(folder: Path, version: str) -> None:
        _do([sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        _do([*pip, "install", "--quiet", f"{requirement}=={version}"])

    return install


def _npm(package: str) -> Callable[[Path, str], None]:
    def install(folder: Path, version: str) -> None:
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise Missing("it needs Node and npm")
        folder.mkdir(parents=True, exist_ok=True)
        quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
        _do(["npm", "install", "--prefix", str(folder), *quiet, f"{package}@{version}"])

    return install


def _do(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise Missing(f"installing took more than {INSTALL_SECONDS} s") from None
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or "no words").splitlines()
        raise Missing(f"installing failed: {words[-1][:200]}")


def _installed(peer: Peer) -> Path:
    """The peer's folder. A stamp says which version is in it."""
    folder = FOLDER / peer.name
    stamp = folder / ".version"
    if not stamp.exists() or stamp.read_text() != peer.version:
        machine.say(f"installing {peer.name} {peer.version} (once, a minute or two)")
        shutil.rmtree(folder, ignore_errors=True)
        peer.install(folder, peer.version)
        stamp.write_text(peer.version)
    return folder


# --- Configuring ----------------------------------------------------------------------------------


def _litellm(scratch: Path, port: int, upstream: int) -> Started:
    """Proxy with a master key, no database. The model is one whose price it knows: one that it
    does not know costs it a third more time."""
    settings = scratch / "litellm.yaml"
    settings.write_text(
        f"""model_list:
  - model_name: bench
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: sk-upstream
general_settings:
  master_key: sk-bench-master
litellm_settings:
  telemetry: false
"""
    )
    program = FOLDER / "litellm" / "bin" / "litellm"
    return Started(
        [str(program), "--config", str(settings), "--port", str(port), "--num_workers", "1"],
        Manner(["sk-bench-master"]),
        {
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
        },
    )


# The package brings no server program. Its extension can start the gateway on a port of its own
# choice, so the port that everybody knows is handed on by a file.
_GATEWAY = """
import pathlib, sys, time
from tensorzero import _start_http_gateway
gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None,
                              valkey_url=None, async_setup=False)
pathlib.Path(sys.argv[2]).write_text(gateway.base_url)
while True:
    time.sleep(1000)
"""


def _tensorzero(scratch: Path, port: int, upstream: int) -> Started:
    """Gateway without authentication and with observability off."""
    settings = scratch / "tensorzero.toml"
    settings.write_text(
        f"""[gateway]
observability.enabled = false

[models.bench]
routing = ["fake"]

[models.bench.providers.fake]
type = "openai"
model_name = "bench"
api_base = "http://127.0.0.1:{upstream}/v1/"
api_key_location = "env::BENCH_UPSTREAM_KEY"
"""
    )
    python = FOLDER / "tensorzero" / "bin" / "python"
    return Started(
        [str(python), "-c", _GATEWAY, str(settings), str(scratch / "tensorzero.url")],
        Manner(["sk-bench"], "/openai/v1/chat/completions", model="tensorzero::model_name::{}"),
        {"BENCH_UPSTREAM_KEY": "sk-upstream"},
    )


def _portkey(scratch: Path, port: int, upstream: int) -> Started:
    """Gateway that passes keys on and checks none of its own."""
    program = FOLDER / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    headers = (
        f"x-portkey-provider: openai\r\nx-portkey-custom-host: http://127.0.0.1:{upstream}/v1\r\n"
    )
    node = shutil.which("node") or "node"
    return Started(
        [node, str(program), "--headless", f"--port={port}"],
        Manner(["sk-upstream"], headers=headers),
        {"NODE_ENV": "production"},
    )


PEERS = (
    Peer("litellm", "1.106.2", _environment("litellm[proxy]"), _litellm),
    Peer("tensorzero", "2026.6.0", _environment("tensorzero"), _tensorzero),
    Peer("portkey", "1.15.2", _npm("@portkey-ai/gateway"), _portkey),
)


# --- Starting -------------------------------------------------------------------------------------


@contextlib.contextmanager
def servers(scratch: Path, upstream: int) -> Iterator[list[Subject]]:
    """The peers that could be installed and started, for the length of a block."""
    with contextlib.ExitStack() as stack:
        subjects = []
        for peer in PEERS:
            with contextlib.ExitStack() as starting:
                try:
                    _installed(peer)
                    subject = starting.enter_context(_running(peer, scratch, upstream))
                except (Missing, OSError) as error:
                    machine.say(f"{peer.name} {peer.version} is left out: {error}")
                    continue
                stack.push(starting.pop_all())
            machine.say(
                f"{peer.name} {peer.version}: first answer after "
                f"{subject.facts['start_seconds']:.1f} s, {subject.facts['idle_rss_mb']:.0f} MB"
            )
            subjects.append(subject)
        yield subjects


@contextlib.contextmanager
def _running(peer: Peer, scratch: Path, upstream: int) -> Iterator[Subject]:
    """A started peer. Raises Missing."""
    port = machine.free_port()
    started = peer.configure(scratch, port, upstream)
    log = scratch / f"{peer.name}.log"
    with machine.running(
        started.command, machine.SERVER_CORE, log=log, **started.variables
    ) as process:
        began = time.monotonic()
        where = scratch / f"{peer.name}.url"
        probe = bodies.write(scratch / f"{peer.name}.probe", started.manner, size=270, count=1)
        trouble: str | None = "it does not listen"
        while trouble is not None:
            if process.poll() is not None or time.monotonic() - began > START_SECONDS:
                last = log.read_text(errors="replace").strip().splitlines()[-1:]
                raise Missing(f"it does not start: {trouble}; its last words: {last}")
            time.sleep(0.02)
            if where.exists() and (url := where.read_text()):
                port = int(url.split(":")[2].split("/")[0])
            trouble = answers.problem(port, probe, stream=False)
        facts = {"version": peer.version, "start_seconds": time.monotonic() - began}
        time.sleep(1)
        facts["idle_rss_mb"] = machine.rss_mb(process.pid)
        yield Subject(peer.name, port, process.pid, started.manner, is_peer=True, facts=facts)
