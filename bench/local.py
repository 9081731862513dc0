"""A model in the house, through Keyhall and from llama.cpp's own server directly.

The same file, slots and threads; the direct server is the very process that Keyhall starts, asked
over its own socket. Rounds alternate, and what is told are medians of them: tokens a second with 1
and 4 clients, the time to the first token, and the processor time that Keyhall itself takes for
each event of a stream, without its model's process and without what it takes while idle. Beside it
stands what a relay takes that does nothing at all (`relay.py`): the least that an event costs here.
"""

import argparse
import asyncio
import dataclasses
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import report
import servers

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "running"))

from hall_process import Premises
from model_files import TOOLS_TEMPLATE, make_model

from keyhall.engines.local import process as processes
from keyhall.ports.records import ModelRecord

SLOTS = 4
CLIENTS = (1, 4)
TOKENS = 128
TITLE = "A model in a file"
# Only letters, so that each token is an event: of random bytes most wait for others.
ON = {str(letter): 50 for letter in b"abcdefghijklmnopqrstuvwxyz"}
PROMPT = "Tell me all about keys, tokens and limits, in any order that you like. " * 3
DEMANDS = {"share": 0.90, "event_us": 40.0, "first_ms": 5.0}


@dataclasses.dataclass
class Way:
    """Where a client goes."""

    name: str
    head: bytes
    body: dict
    socket: str | None = None
    port: int = 0

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.socket is not None:
            return await asyncio.open_unix_connection(self.socket)
        return await asyncio.open_connection("127.0.0.1", self.port)


@dataclasses.dataclass
class Heard:
    tokens: int = 0
    events: int = 0
    firsts: list[float] = dataclasses.field(default_factory=list)


async def client(way: Way, heard: Heard, until: float) -> None:
    """One answer after the other on one connection."""
    reader, writer = await way.open()
    number = 0
    while time.perf_counter() < until:
        number += 1
        messages = [{"role": "user", "content": f"{number} {PROMPT}"}]
        body = json.dumps(way.body | {"messages": messages}).encode()
        began = time.perf_counter()
        writer.write(b"%bContent-Length: %d\r\n\r\n%b" % (way.head, len(body), body))
        try:
            status = await reader.readline()
        except ConnectionResetError:  # Through the relay that is how it looks.
            status = b""
        if not status:  # A kept connection was closed: llama.cpp does so after a while.
            writer.close()
            reader, writer = await way.open()
            continue
        if b" 200 " not in status:
            raise RuntimeError(f"{way.name}: {status!r} {await reader.read(2_000)!r}")
        first = True
        while True:
            line = await reader.readline()
            if b'"content":"' in line and line.startswith(b"data: "):
                heard.events += 1
                # The role comes first, with no words.
                if first and b'"content":""' not in line:
                    heard.firsts.append(time.perf_counter() - began)
                    first = False
            if b'"completion_tokens":' in line:
                heard.tokens += json.loads(line[6:])["usage"]["completion_tokens"]
            if line.startswith(b"data: [DONE]"):
                break
        while await reader.readline() not in (b"0\r\n", b""):  # The end of the chunks.
            pass
        await reader.readline()
    writer.close()


async def measure(way: Way, clients: int, seconds: float) -> tuple[Heard, float]:
    heard, began = Heard(), time.perf_counter()
    await asyncio.gather(*(client(way, heard, began + seconds) for _ in range(clients)))
    return heard, time.perf_counter() - began


def cpu_us(pid: int) -> float:
    """Of one process, without its children."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1_000


async def run(folder: Path, rounds: int, seconds: float) -> dict:
    file = make_model(
        folder / "model.gguf",
        template=TOOLS_TEMPLATE,
        context=8192,
        layers=8,
        width=320,
        calls=True,
    )
    threads = processes.threads_of_machine()
    record = ModelRecord(
        "bench", str(file), hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size,
        "llama", 0, 8192, True, SLOTS, 2048, threads, False, 0,
    )  # fmt: skip
    premises = Premises(folder, servers.SETTINGS)
    # In a process each: both start event loops of their own.
    premises.run(
        "models", "add", str(file), "--name", "bench", "--slots", str(SLOTS),
        "--context", "2048", "--threads", str(threads), "--yes",
    )  # fmt: skip
    made = premises.run("keys", "create", "--name", "bench", "--tier", "bench", "--json")
    key = json.loads(made.stdout)["key"]
    hall = premises.start()
    direct = await processes.start(record, folder / "direct.log", None)
    relay = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "relay.py"), direct.socket],
        stdout=subprocess.PIPE,
    )
    assert relay.stdout is not None
    relay_port = int(relay.stdout.readline())
    body = {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": TOKENS,
            "logit_bias": ON}  # fmt: skip
    plain = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0, "cache_prompt": False}
    post = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    ways = [
        Way("direct", post + b"Authorization: Bearer %b\r\n" % direct.token.encode(),
            body | plain, socket=direct.socket),
        Way("keyhall", post + b"Authorization: Bearer %b\r\n" % key.encode(),
            body | {"model": "bench"}, port=hall.port),
        Way("relay", post + b"Authorization: Bearer %b\r\n" % direct.token.encode(),
            body | plain, port=relay_port),
    ]  # fmt: skip
    found: dict = {"threads": threads, "model_mb": file.stat().st_size / 1e6}
    try:
        for way in ways:
            await measure(way, SLOTS, 1.0)
        for clients in CLIENTS:
            found[clients] = await _rounds(ways, clients, rounds, seconds, hall.pid, relay.pid)
    finally:
        relay.kill()
        relay.wait()
        relay.stdout.close()
        await direct.end()
        hall.end()
    return found


async def _rounds(
    ways: list[Way], clients: int, rounds: int, seconds: float, pid: int, relay_pid: int
) -> dict:
    rates: dict[str, list[float]] = {way.name: [] for way in ways}
    firsts: dict[str, list[float]] = {way.name: [] for way in ways}
    events, idle, relayed = [], [], []
    for number in range(rounds):
        machine.say(f"{clients} clients: round {number + 1}")
        for way in ways if number % 2 else ways[::-1]:
            before, relay_before = cpu_us(pid), cpu_us(relay_pid)
            heard, took = await measure(way, clients, seconds)
            used, relay_used = cpu_us(pid) - before, cpu_us(relay_pid) - relay_before
            rates[way.name].append(heard.tokens / took)
            firsts[way.name].append(statistics.median(heard.firsts))
            if way.name == "keyhall":
                events.append((used, heard.events, took))
            elif way.name == "relay":
                relayed.append(relay_used / heard.events)
            else:
                idle.append(used / took)  # What it does beside requests.
    both = list(zip(rates["keyhall"], rates["direct"], strict=True))
    added = zip(firsts["keyhall"], firsts["direct"], strict=True)
    return {
        "tokens_per_second": {name: statistics.median(each) for name, each in rates.items()},
        "share": statistics.median(ours / theirs for ours, theirs in both),
        "event_us": statistics.median(
            (used - statistics.median(idle) * took) / count for used, count, took in events
        ),
        "relay_event_us": statistics.median(relayed),
        "idle_us_per_second": statistics.median(idle),
        "first_ms": {name: statistics.median(each) * 1e3 for name, each in firsts.items()},
        "added_ms": statistics.median((ours - theirs) * 1e3 for ours, theirs in added),
    }


def told(found: dict) -> list[str]:
    lines = [
        f"`bench/local.py`: a model of {found['model_mb']:.0f} MB, {SLOTS} slots, "
        f"{found['threads']} threads, answers of {TOKENS} tokens, each an event of its own. "
        "*Direct* is llama.cpp's own server, in the very process that Keyhall starts, asked over "
        "its own socket; *a bare relay* passes bytes on and does nothing else.",
        "",
        "| clients | direct tokens/s | Keyhall tokens/s | share | CPU µs an event | "
        "of a bare relay | first token: direct ms | Keyhall ms | added ms |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for clients in CLIENTS:
        row = found[clients]
        rate, first = row["tokens_per_second"], row["first_ms"]
        lines.append(
            f"| {clients} | {rate['direct']:,.0f} | {rate['keyhall']:,.0f} | {row['share']:.3f} | "
            f"{row['event_us']:.1f} | {row['relay_event_us']:.1f} | "
            f"{first['direct']:.1f} | {first['keyhall']:.1f} | "
            f"{row['added_ms']:.1f} |"
        )
    share = min(found[clients]["share"] for clients in CLIENTS)
    event = max(found[clients]["event_us"] for clients in CLIENTS)
    added = max(found[clients]["added_ms"] for clients in CLIENTS)
    lines.append("")
    for words, is_met in (
        (f"tokens a second at least {DEMANDS['share']} of direct: {share:.3f}",
         share >= DEMANDS["share"]),
        (f"at most {DEMANDS['event_us']:.0f} µs of CPU an event: {event:.1f}",
         event <= DEMANDS["event_us"]),
        (f"first token at most {DEMANDS['first_ms']:.0f} ms later: {added:.1f}",
         added <= DEMANDS["first_ms"]),
    ):  # fmt: skip
        lines.append(f"- **{'PASS' if is_met else 'FALLS SHORT'}** {words}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--write", action="store_true", help="put them into RESULTS.md and .json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keyhall-bench-") as name:
        found = asyncio.run(run(Path(name), arguments.rounds, arguments.seconds))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))
    print("\n".join(told(found)))
    if arguments.write:
        report.publish_section(TITLE, told(found))


if __name__ == "__main__":
    main()
