"""Thousands of open streams on one process: they all end, cost little, and disturb nobody."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hall_process import Premises, Process

CROWD = Path(__file__).with_name("stream_crowd.py")
STREAMS = 5_000
TOKENS = 30  # and so seconds
MEASURED_SECONDS = 15
RSS_BYTES_MAX = 40 * 1024  # of one stream
SOFT_FILES = 1_024  # what many systems give a process that does not ask


class Crowd:
    """The clients' program, stage by stage."""

    def __init__(self, server: Process, key: str, core: int) -> None:
        arguments = [str(server.port), key, str(STREAMS), str(TOKENS), str(MEASURED_SECONDS)]
        self._popen = subprocess.Popen(
            [sys.executable, str(CROWD), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )

    def reaches(self, stage: str) -> dict[str, Any]:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        assert line, "the crowd's program ended before its time"
        facts: dict[str, Any] = json.loads(line)
        assert facts["stage"] == stage
        return facts

    def end(self) -> None:
        self._popen.kill()
        self._popen.communicate()


@pytest.mark.slow
def test_five_thousand_streams_end_cost_little_and_disturb_nobody(
    premises: Premises, started: Callable[..., Process], capsys: pytest.CaptureFixture[str]
) -> None:
    """One event a second each; the process had to raise its soft limit of files for them."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < STREAMS + 1_000:
        pytest.skip("the hard limit of open files is too low for this test")
    cores = sorted(os.sched_getaffinity(0))
    server = started(soft_files=SOFT_FILES, core=cores[0])
    assert server.limit_of_files() > STREAMS
    crowd = Crowd(server, premises.make_key()["key"], cores[-1])
    try:
        alone = crowd.reaches("alone")
        rss_before = server.rss_bytes()
        opened = crowd.reaches("open")
        rss_open = server.rss_bytes()
        end = crowd.reaches("end")
    finally:
        crowd.end()
    each = (rss_open - rss_before) / STREAMS
    with capsys.disabled():
        print(
            f"\nalone {alone}\nopen {opened}\nend {end}\nRSS {rss_before / 2**20:.0f} MiB", end=""
        )
        print(f" before, {each / 1024:.1f} KiB for each stream")
    assert opened["lost"] == end["lost"] == 0
    assert end["still_open"] == end["done"] == STREAMS
    assert end["events"] >= STREAMS * TOKENS
    assert each <= RSS_BYTES_MAX
    assert end["p99_ms"] <= 2 * alone["p99_ms"] + 10
    assert server.stop() == 0
    (row,) = premises.query(
        "SELECT count(*) AS requests, sum(output_tokens) AS tokens FROM usage "
        "WHERE version = 'sandbox/slow'"
    )
    assert (row["requests"], row["tokens"]) == (STREAMS, STREAMS * TOKENS)
