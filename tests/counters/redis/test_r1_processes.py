"""R1 with four real processes of 32 clients each on one key, with random sizes: in no interval of
60 seconds is more admitted than allowed, whatever is killed meanwhile."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from keyhall.policy.limits import WINDOW_US

SPENDER = Path(__file__).with_name("spender.py")
CLIENTS = 32


class Crowd:
    def __init__(self, redis: Any, folder: Path, seconds: float, rpm: int, tpm: int) -> None:
        self.redis = redis
        self.limits = rpm, tpm
        self._folder = folder
        self._until = time.monotonic() + seconds
        self._started = 0
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._started += 1
        seconds = max(1, round(self._until - time.monotonic()))
        words = [self.redis.url, seconds, CLIENTS, self._started, *self.limits]
        words.append(self._folder / f"spent-{self._started}")
        self.processes.append(subprocess.Popen([sys.executable, SPENDER, *map(str, words)]))

    def wait_for(self, admitted: int) -> None:
        until = time.monotonic() + 60
        while len(self.admitted()) < admitted:
            assert time.monotonic() < until
            time.sleep(0.05)

    def admitted(self) -> list[tuple[int, int]]:
        """When and how much, in order of time. A line that was cut off by a kill is left out."""
        found = []
        for path in self._folder.glob("spent-*"):
            for line in path.read_text().splitlines():
                words = line.split()
                if words[:1] == ["held"] and len(words) == 4:
                    found.append((int(words[1]), int(words[2])))
        return sorted(found)

    def end(self) -> None:
        for process in self.processes:
            assert process.wait(timeout=120) in (0, -9)

    def most(self) -> tuple[int, int]:
        """The most requests and tokens that any interval of 60 s holds."""
        rows = self.admitted()
        most_requests = most_tokens = requests = tokens = first = 0
        for at_us, used in rows:
            requests, tokens = requests + 1, tokens + used
            while rows[first][0] <= at_us - WINDOW_US:
                requests, tokens, first = requests - 1, tokens - rows[first][1], first + 1
            most_requests, most_tokens = max(most_requests, requests), max(most_tokens, tokens)
        return most_requests, most_tokens


@pytest.mark.parametrize(
    ("rpm", "tpm"),
    [
        pytest.param(1500, 10**9, id="rpm", marks=pytest.mark.slow),
        pytest.param(10**9, 100_000, id="tpm"),
    ],
)
def test_r1_four_processes_use_a_limit_up_and_never_pass_it(own_redis, tmp_path, rpm, tpm):
    crowd = Crowd(own_redis, tmp_path, 5, rpm, tpm)
    for _ in range(4):
        crowd.start()
    crowd.end()
    requests, tokens = crowd.most()
    assert requests <= rpm
    assert tokens <= tpm
    assert requests >= 0.95 * rpm or tokens >= 0.95 * tpm


@pytest.mark.slow
def test_r1_two_of_four_processes_killed_and_two_started(own_redis, tmp_path):
    crowd = Crowd(own_redis, tmp_path, 90, 20_000, 10**9)
    for _ in range(4):
        crowd.start()
    crowd.wait_for(5_000)
    for process in crowd.processes[:2]:
        process.kill()
    for _ in range(2):
        crowd.start()
    crowd.end()
    requests, _ = crowd.most()
    assert 0.95 * 20_000 <= requests <= 20_000


@pytest.mark.slow
@pytest.mark.parametrize("at", [3_000, 20_000], ids=["while there is room", "when it is used up"])
def test_r1_redis_killed_and_back(own_redis, tmp_path, at):
    crowd = Crowd(own_redis, tmp_path, 100, 20_000, 10**9)
    for _ in range(4):
        crowd.start()
    crowd.wait_for(at)
    own_redis.kill()
    time.sleep(3)
    own_redis.start()
    crowd.end()
    requests, _ = crowd.most()
    assert 0.95 * 20_000 <= requests <= 20_000


@pytest.mark.slow
def test_r1_redis_paused_for_ten_seconds(own_redis, tmp_path):
    import signal

    crowd = Crowd(own_redis, tmp_path, 100, 20_000, 10**9)
    for _ in range(4):
        crowd.start()
    crowd.wait_for(10_000)
    own_redis.signal(signal.SIGSTOP)
    time.sleep(10)
    own_redis.signal(signal.SIGCONT)
    crowd.end()
    requests, _ = crowd.most()
    assert 0.95 * 20_000 <= requests <= 20_000
