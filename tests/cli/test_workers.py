"""The parent of several workers, with programs of the test's own in their place."""

import asyncio
import resource
import socket
import sys
from contextlib import closing, contextmanager

import pytest
from patience import PATIENCE_SECONDS

from keyhall.cli import workers

PROGRAM = """
import json, os, sys
os.write(json.loads(sys.stdin.readline())["opened"], b"o")
sys.stdin.read()
"""


@contextmanager
def no_file_left(_monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def no_program(monkeypatch):
    with monkeypatch.context() as inside:
        inside.setattr(sys, "executable", "/nowhere/python")
        yield


@pytest.mark.parametrize("fault", [no_file_left, no_program])
def test_i18_a_system_that_starts_no_worker_stops_none_of_the_others(monkeypatch, caplog, fault):
    """No file left, or no process: it is tried again, and whoever serves goes on."""
    monkeypatch.setattr(workers, "DELAY_SECONDS", 0.05)
    monkeypatch.setattr(workers, "_PROGRAM", PROGRAM)

    def order(*, number, shows_banner, opened):
        return workers.Orders(number, shows_banner, 0, opened, False, None, None, {})

    async def main(listener):
        parent = workers.Workers(2, listener, order)
        running = asyncio.create_task(parent.run())

        async def until(is_so):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not is_so():
                    assert not running.done(), running
                    await asyncio.sleep(0.01)

        await until(lambda: len(parent._running) == 2)
        first = parent._running[1].pid
        with fault(monkeypatch):
            parent._running[2].kill()
            await until(lambda: any("not_started" in each.message for each in caplog.records))
        await until(lambda: len(parent._running) == 2)
        assert parent._running[1].pid == first
        parent._stop()
        assert await running == 0

    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        asyncio.run(main(listener))
