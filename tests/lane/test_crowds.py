"""F-12, F-13: thousands of slow clients, and more clients than the system has files for.

A server in a process of its own, because the clients must not share its loop.
"""

import contextlib
import resource
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hall_process import Premises, Process

SLOW_CLIENTS = 2000
SAMPLES = 150
BODY = b'{"model":"v1","messages":[{"role":"user","content":"hi"}],"max_tokens":5}'
STREAM = BODY[:-1].replace(b'"max_tokens":5', b'"max_tokens":4000,"stream":true') + b"}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Process, str]]:
    premises = Premises(tmp_path)
    process = premises.start()
    try:
        yield process, premises.make_key()["key"]
    finally:
        process.end()


def request(key: str, body: bytes, target: str = "/v1/chat/completions") -> bytes:
    head = (
        f"POST {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def ask(sock: socket.socket, data: bytes) -> float:
    """Seconds until the whole answer is there."""
    started = time.perf_counter()
    sock.sendall(data)
    got = b""
    while b'"service_tier"' not in got or not got.endswith(b"}"):
        piece = sock.recv(65536)
        assert piece, got
        got += piece
    assert got.startswith(b"HTTP/1.1 200"), got[:200]
    return time.perf_counter() - started


def p99(sock: socket.socket, data: bytes) -> float:
    """Of requests at 50 a second."""
    times = []
    for _ in range(SAMPLES):
        times.append(ask(sock, data))
        time.sleep(0.02)
    return statistics.quantiles(times, n=100)[98]


@contextlib.contextmanager
def connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3 * count)), hard))
    sockets = []
    try:
        for number in range(count):
            sock = socket.socket()
            if number % 4 == 3:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", port))
            sockets.append(sock)
        yield sockets
    finally:
        for sock in sockets:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_i12_two_thousand_slow_clients_do_not_slow_others(served: tuple[Process, str]) -> None:
    """Half heads, half bodies, idle ones and readers that do not read; each goes on trickling."""
    process, key = served
    data = request(key, BODY)
    with socket.create_connection(("127.0.0.1", process.port)) as normal:
        ask(normal, data)
        alone = p99(normal, data)
        with connections(process.port, SLOW_CLIENTS) as crowd:
            starts: list[Callable[[], bytes]] = [
                lambda: data[:40],
                lambda: data[:-20],
                lambda: b"",
                lambda: request(key, STREAM),
            ]
            for number, sock in enumerate(crowd):
                if number % 4 == 3 and number > 200:
                    sock.sendall(data)  # Answered, and not read.
                else:
                    sock.sendall(starts[number % 4]())
            for sock in crowd[0::4]:
                sock.sendall(b"a")
            among = p99(normal, data)
            rss = process.rss_bytes()
        assert among <= 2 * alone + 0.05, (alone, among)
        assert rss < 512 * 1024 * 1024
        assert ask(normal, data) < 1


@pytest.mark.slow
def test_f13_a_server_without_files_left_accepts_again_when_there_are(
    served: tuple[Process, str],
) -> None:
    process, key = served
    data = request(key, BODY)
    with socket.create_connection(("127.0.0.1", process.port)) as normal:
        ask(normal, data)
        used = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
        with connections(process.port, 100):
            cpu = cpu_seconds(process)
            time.sleep(1)
            assert cpu_seconds(process) - cpu < 0.5  # It does not spin.
            ask(normal, data)  # Whoever was in is served.
        time.sleep(0.1)
        with socket.create_connection(("127.0.0.1", process.port)) as another:
            assert ask(another, data) < 1
    assert len(process.log.read_bytes()) < 20_000


def cpu_seconds(process: Process) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
