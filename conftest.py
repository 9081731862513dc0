"""What every test shares: a clean environment, one real server, and the documentation as tests.

- Settings of the person who runs the tests (`OPENAI_*`, `KEYHALL_*`) are removed before anything is
  imported; only `KEYHALL_CORPORA`, the folder with test data made by others, is let through.
- `keyhall_server` starts the program once per run, as a person would: `python -m keyhall serve` in
  a process of its own, on a free port, with an empty data folder.
- Python blocks in README.md and src/keyhall/docs run in the order in which a reader meets them, in
  an environment where `OpenAI()` finds that server.
"""

import gc
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from socket import socket
from typing import Any

import pytest
from click.testing import CliRunner
from sybil import Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

START_SECONDS_MAX = 60  # Covers a first start on a loaded machine; it takes about one second.
STOP_SECONDS_MAX = 60

# A tier that no example runs into; what limits do is tested with tiers of their own.
CONFIG = """\
[tiers.roomy]
limits = { requests_per_minute = 100_000, tokens_per_minute = 100_000_000 }
"""

# Folders of tests that start processes and wait for them.
WAITING = {"faults", "journeys", "redis", "postgres", "deploy"}
# A test of these takes as long as so many others.
LONG = {"browser": 40, "attacks": 20, "playground": 10, "console": 10}

for name in [*os.environ]:
    if name.startswith(("OPENAI_", "KEYHALL_")) and name != "KEYHALL_CORPORA":
        del os.environ[name]
os.environ["KEYHALL_MODELS_HOUSE"] = "false"  # Hundreds of halls are started; one test has it on.
# No test speaks TLS with anybody but itself. Reading the system's certificates takes each of
# thousands of clients and servers longer than starting: here is one, and nobody has its key.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "tests" / "running" / "nobody.pem")
os.environ.pop("SSL_CERT_DIR", None)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A Keyhall server in a process of its own, and the way to its command line."""

    root_url: str  # http://127.0.0.1:PORT
    data: Path
    config: Path
    key: str  # of the tier `roomy`
    process: "subprocess.Popen[bytes]"

    @property
    def base_url(self) -> str:
        """What the official client calls `base_url`."""
        return f"{self.root_url}/v1"

    def make_key(self, *, name: str = "test", **options: str | bool) -> dict[str, Any]:
        """Create a key: `make_key(tier="free-trial", test=True)["key"]`."""
        return create_key(self.data, self.config, name=name, **options)

    def command(self, *arguments: str) -> str:
        """What `keyhall ARGUMENTS` prints, run in this process."""
        return run_here(self.data, self.config, *arguments)

    def run(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run `keyhall ARGUMENTS --data DIR` against this server's data folder."""
        return run_keyhall(self.data, self.config, *arguments, check=check)


def run_keyhall(
    data: Path, config: Path | None, *arguments: str, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "KEYHALL_DATA": str(data)}
    if config is not None:
        environment["KEYHALL_CONFIG"] = str(config)
    finished = subprocess.run(
        [sys.executable, "-m", "keyhall", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS_MAX,
        check=False,
    )
    if check and finished.returncode != 0:
        pytest.fail(f"keyhall {' '.join(arguments)}: {finished.stderr or finished.stdout}")
    return finished


def run_here(data: Path, config: Path, *arguments: str) -> str:
    """What `keyhall ARGUMENTS` prints, without the second that a process of its own takes. Not
    inside an event loop: it starts its own."""
    from keyhall.cli import main

    where = ["--data", str(data), "--config", str(config)]
    done = CliRunner().invoke(main, [*arguments, *where])
    if done.exit_code:
        pytest.fail(f"keyhall {' '.join(arguments)}: {done.output}")
    return done.stdout


def create_key(data: Path, config: Path, *, name: str, **options: str | bool) -> dict[str, Any]:
    flags: list[str] = []
    for option, value in options.items():
        flag = "--" + option.replace("_", "-")
        if value is True:
            flags.append(flag)
        elif value is not False:
            flags += [flag, value]
    words = ["keys", "create", "--name", name, *flags, "--json"]
    made: dict[str, Any] = json.loads(run_here(data, config, *words))
    return made


def free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:  # Refused, cut, or still silent.
            pass
        time.sleep(0.02)
    pytest.fail(f"keyhall serve did not become ready:\n{log.read_text()}")


@pytest.fixture(scope="session")
def keyhall_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests that only need a server: its data is shared, so make own keys."""
    folder = tmp_path_factory.mktemp("keyhall-server")
    data, config, log = folder / "data", folder / "keyhall.toml", folder / "serve.log"
    config.write_text(CONFIG)
    port = free_port()
    command = [sys.executable, "-m", "keyhall", "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--data", str(data)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--config", str(config)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        root_url = f"http://127.0.0.1:{port}"
        wait_until_ready(root_url, process, log)
        key = create_key(data, config, name="docs", tier="roomy")["key"]
        yield RunningServer(root_url, data, config, key, process)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def documented_server(
    keyhall_server: RunningServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> RunningServer:
    """What documentation takes for granted: a server that `OpenAI()` finds; a scratch folder."""
    monkeypatch.setenv("OPENAI_BASE_URL", keyhall_server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", keyhall_server.key)
    monkeypatch.chdir(tmp_path)
    return keyhall_server


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "src/keyhall/docs/*.md"],
    fixtures=["documented_server"],
).pytest()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What ten thousand tests are made of stays: no collection of garbage goes through it again,
    neither those that tests ask for nor those that happen."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The random order is for tests. Blocks of a page build on each other: keep them in order.

    Files are handed to workers in the order of their first tests. Those that wait for processes
    come alternately with those that compute, and long files before short ones: so
    workers wait while others compute, and none is left alone at the end with a long file.
    """
    pages = [item for item in items if isinstance(item, SybilItem)]
    pages.sort(key=lambda item: (str(item.path), item.example.start))
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        if not isinstance(item, SybilItem):
            files.setdefault(item.path, []).append(item)
    waiting = [tests for path, tests in files.items() if path.parent.name in WAITING]
    others = [tests for path, tests in files.items() if path.parent.name not in WAITING]
    others.sort(key=lambda tests: len(tests) * LONG.get(tests[0].path.parent.name, 1), reverse=True)
    shuffled = chain.from_iterable(zip_longest(waiting, others, fillvalue=[]))
    items[:] = [*chain.from_iterable(shuffled), *pages]
