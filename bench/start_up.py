"""From `keyhall serve` to the first answered chat request, against importing what it stands on.

Three things in turn: a Python that imports the core libraries; a first start on an empty folder,
which makes the database and a key; a later start on a folder that has both. An answer is a 200
from the sandbox. All on the servers' core, byte code written before.
"""

import argparse
import contextlib
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import answers
import machine
import servers

CORE = (
    "starlette uvicorn uvloop httptools msgspec sqlalchemy.ext.asyncio alembic aiosqlite "
    "tiktoken click rich prometheus_client structlog platformdirs"
)
GIVE_UP_SECONDS = 30.0
_KEY = re.compile(rb"sk-kh_live_\w{62,}")


def measure(rounds: int) -> dict:
    """Medians in seconds, ratios round by round, and memory after the first answer."""
    imports, firsts, laters, rss = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="keyhall-bench-") as name:
        folder = Path(name)
        # Not counted: it writes byte code, fills the file cache, and makes the key.
        import_seconds()
        with answered(folder / "kept", folder / "log") as (_, _, key):
            pass
        for turn in range(rounds):
            machine.say(f"start-up: round {turn + 1}")
            imports.append(import_seconds())
            with answered(folder / f"new-{turn}", folder / "log") as (seconds, _, _):
                firsts.append(seconds)
            with answered(folder / "kept", folder / "log", key) as (seconds, pid, _):
                laters.append(seconds)
                time.sleep(1)
                rss.append(machine.rss_mb(pid))
    return {
        "import_seconds": statistics.median(imports),
        "first_seconds": statistics.median(firsts),
        "later_seconds": statistics.median(laters),
        "first_ratio": _ratio(firsts, imports),
        "later_ratio": _ratio(laters, imports),
        "rss_mb": statistics.median(rss),
    }


def _ratio(ones: list[float], others: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


def import_seconds() -> float:
    """From starting Python until it has imported the core set."""
    program = f"import {', '.join(CORE.split())}; print('done', flush=True); input()"
    began = time.monotonic()
    with subprocess.Popen(
        [*machine.placed(machine.SERVER_CORE), *machine.clean(), sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.monotonic() - began
        process.kill()
    if line != "done\n":
        raise RuntimeError("the core libraries cannot be imported")
    return seconds


@contextlib.contextmanager
def answered(data: Path, log: Path, key: bytes | None = None) -> Iterator[tuple[float, int, bytes]]:
    """A server that has answered: seconds that took, its process, and the key that was used; on
    an empty folder that is the one which the start shows."""
    port = machine.free_port()
    log.unlink(missing_ok=True)
    command = [*servers.python(), "serve", "--port", str(port), "--data", str(data)]
    began = time.monotonic()
    with machine.running(command, machine.SERVER_CORE, log=log, **servers.source()) as process:
        while True:
            if key is None:
                found = _KEY.search(log.read_bytes())
                key = found.group() if found else None
            if key is not None and _is_answered(port, key):
                break
            if process.poll() is not None or time.monotonic() - began > GIVE_UP_SECONDS:
                raise RuntimeError(f"no first answer: {log.read_text(errors='replace')[-500:]}")
            time.sleep(0.002)
        yield time.monotonic() - began, process.pid, key


def _is_answered(port: int, key: bytes) -> bool:
    """Whether a chat request is answered. A look at the port first: nobody listens for long."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)):
            return False
    body = json.dumps({"model": "v1", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (key, len(body))
    )
    status, text = answers.ask(port, head + body, GIVE_UP_SECONDS)
    if status != 200 or json.loads(text)["usage"]["completion_tokens"] < 1:
        raise RuntimeError(f"the first answer is wrong ({status}): {text[:300]}")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    machine.prepare()
    import acceptance
    import report

    result = {"start_up": measure(arguments.rounds)}
    print("\n".join(report.start_up(result["start_up"])))
    print("\n".join(report.verdicts(acceptance.judge(result))))


if __name__ == "__main__":
    main()
