"""The process of a model: what it is kept from, and what becomes of requests when it ends, hangs,
is slow or cannot start. Another engine never notices."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from local_models import IS_LINUX, a_model, record_of, request
from patience import PATIENCE_SECONDS, stretched

from keyhall import errors
from keyhall.engines.local.engine import LocalEngine
from keyhall.errors import ApiError

ON = {"262": -100, "263": -100}  # It does not end by itself.


async def until(what, seconds=PATIENCE_SECONDS):
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.002)


async def refusal_of(work):
    """The row that a request ended in, or None."""
    try:
        await work
    except ApiError as error:
        return error.problem
    return None


def proc(pid, name):
    return Path(f"/proc/{pid}/{name}").read_bytes()


@pytest.mark.skipif(not IS_LINUX, reason="looks into /proc")
def test_i5_the_process_holds_no_secret_and_no_network(model_path, log, run, monkeypatch) -> None:
    monkeypatch.setenv("KEYHALL_KEYS_PEPPER", "pepper-of-ours")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-ours")
    monkeypatch.setenv("DATABASE_URL", "database-of-ours")

    async def story():
        async with a_model(model_path, log) as model:
            await model.ask(request("A secret of somebody."), cap=4)
            process = model.engine.keeper.process
            pid = process.pid
            told = proc(pid, "environ") + proc(pid, "cmdline")
            assert b"of-ours" not in told
            assert b"KEYHALL" not in told
            assert process.token.encode() not in told
            assert int(proc(pid, "oom_score_adj")) >= 900
            assert b"Max core file size        0" in proc(pid, "limits")
            if not process.ready.has_network:
                assert b"eth" not in proc(pid, "net/dev")
                assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
            folder = Path(process.socket).parent
            assert folder.stat().st_mode & 0o077 == 0
            reader, writer = await asyncio.open_unix_connection(process.socket)
            writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
            writer.write(b"GET /slots HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answered = await reader.read()
            writer.close()
            assert b"401" in answered
            return folder

    folder = run(story())
    assert not folder.exists()
    assert b"secret of somebody" not in log.read_bytes()


@pytest.mark.skipif(not IS_LINUX, reason="by PR_SET_PDEATHSIG, or by the end of its input")
def test_the_process_ends_with_its_parent(model_path, log, run) -> None:
    async def story():
        async with a_model(model_path, log) as model:
            child = model.engine.keeper.process
            child._process.stdin.close()
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await child.wait() == "ended with code 0"

    run(story())


def test_i17_a_kill_costs_only_what_ran_and_it_is_back_within_two_seconds(
    model_path, log, run
) -> None:
    async def story():
        async with a_model(model_path, log, slots=2) as model:
            long = [
                asyncio.ensure_future(
                    refusal_of(model.ask(request(logit_bias=ON, stream=True), cap=4000))
                )
                for _ in range(2)
            ]
            await until(lambda: model.engine.answers.running == 2)
            waiting = [asyncio.ensure_future(model.ask(request(), cap=2)) for _ in range(3)]
            await until(lambda: model.engine.answers.waiting == 3)
            await until(lambda: model.accepted == 2)
            first = model.engine.keeper.process.pid
            os.kill(first, signal.SIGKILL)
            killed_at = time.monotonic()
            await until(lambda: model.engine.trouble is not None)
            assert await refusal_of(model.count(request())) is errors.ENGINE_BUSY
            await until(lambda: model.engine.trouble is None)
            back = time.monotonic() - killed_at
            assert [await each for each in long] == [errors.ENGINE_FAILED] * 2
            for each in waiting:  # They were not sent to the one that died.
                assert (await each).answer.produced > 0
            assert model.engine.keeper.process.pid != first
            assert model.engine.is_idle
            return back

    assert run(story()) < stretched(2.0)


class MemoryGroup:
    """A control group with little memory, of version 1 or 2. Raises OSError where it may not be."""

    def __init__(self, name: str, most: int) -> None:
        old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        is_old = (old / "memory.limit_in_bytes").exists()
        self.path = (old if is_old else new) / name
        self.path.mkdir()
        try:
            limit = "memory.limit_in_bytes" if is_old else "memory.max"
            (self.path / limit).write_text(str(most))
        except OSError:
            self.path.rmdir()
            raise
        self._events = self.path / ("memory.oom_control" if is_old else "memory.events")

    def add(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    @property
    def kills(self) -> int:
        (line,) = (each for each in self._events.read_text().splitlines() if "oom_kill " in each)
        return int(line.split()[1])


@pytest.fixture
def little_memory():
    try:
        group = MemoryGroup(f"keyhall-test-{os.getpid()}", 4 << 20)
    except OSError as error:
        pytest.skip(f"NO OOM KILL: this machine gives us no memory control group ({error})")
    yield group
    group.path.rmdir()


def test_i17_the_kernels_oom_killer_costs_only_what_ran_and_it_is_back_within_two_seconds(
    model_path, log, run, little_memory
) -> None:
    async def story():
        async with a_model(model_path, log, slots=2) as model:
            long = asyncio.ensure_future(
                refusal_of(model.ask(request(logit_bias=ON, stream=True), cap=4000))
            )
            await until(lambda: model.accepted == 1)
            first = model.engine.keeper.process.pid
            little_memory.add(first)
            await refusal_of(model.count(request("much " * 2_000_000)))
            assert await long is errors.ENGINE_FAILED
            begun_at = time.monotonic()
            await until(lambda: model.engine.trouble is not None)
            await until(lambda: model.engine.trouble is None)
            assert time.monotonic() - begun_at < stretched(2.0)
            assert little_memory.kills == 1
            assert model.engine.keeper.process.pid != first
            assert (await model.ask(request(), cap=2)).answer.produced > 0

    run(story())


def test_i17_a_hang_is_noticed_and_ended(model_path, log, run) -> None:
    async def story():
        async with a_model(model_path, log, hang_seconds=0.3) as model:
            pid = model.engine.keeper.process.pid
            long = request(logit_bias=ON, stream=True)
            asked = asyncio.ensure_future(refusal_of(model.ask(long, cap=2000)))
            await until(lambda: model.accepted)
            os.kill(pid, signal.SIGSTOP)
            await until(lambda: model.engine.keeper.starts == 2)
            await until(lambda: model.engine.trouble is None)
            assert await asked is errors.ENGINE_FAILED
            assert (await model.ask(request(), cap=2)).answer.produced > 0

    run(story())


def test_f15_a_cancelled_answer_frees_its_slot_within_50_ms(model_path, log, run) -> None:
    async def cancel(model, *, stream):
        answer = model.start(request(logit_bias=ON, stream=stream), cap=8000)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await model.busy():
                await asyncio.sleep(0)
            while not answer.parts:
                await asyncio.sleep(0.001)
        answer.close()
        at = time.monotonic()
        assert model.engine.is_idle
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await model.busy():
                await asyncio.sleep(0)
        return time.monotonic() - at

    async def story():
        async with a_model(model_path, log, slots=1, slot_context=8192) as model:
            return [await cancel(model, stream=stream) for stream in (True, False) for _ in "123"]

    assert sorted(run(story()))[2] < stretched(0.05)  # The median: the machine has others to serve.


def test_r5_whoever_leaves_the_queue_was_never_accepted(model_path, log, run) -> None:
    async def story():
        async with a_model(model_path, log, slots=1) as model:
            first = model.start(request(logit_bias=ON, stream=True), cap=1500)
            second = model.start(request())
            assert model.engine.answers.waiting == 1
            assert model.engine.ahead("key") == 1
            assert model.engine.ahead("other") == 1
            assert not second.is_accepted
            second.close()
            assert not model.engine.answers.waiting
            first.close()
            second.close()
            assert model.engine.is_idle
            assert model.accepted <= 1

    run(story())


def test_i11_a_full_queue_refuses_with_a_time_and_one_key_cannot_fill_it(
    model_path, log, run
) -> None:
    async def story():
        async with a_model(model_path, log, slots=1) as model:
            queue = model.engine.answers._queue
            queue.most, queue.most_of_key = 6, 4
            running = model.start(request(logit_bias=ON, stream=True), cap=1500)
            answers = [model.start(request()) for _ in range(5)]
            others = [model.start(request(), key="other") for _ in range(3)]
            failures = [answer.failure for answer in [*answers, *others] if answer.failure]
            for answer in [running, *answers, *others]:
                answer.close()
            assert model.engine.is_idle
            return failures

    of_key, of_all = run(story())
    assert of_key.problem is of_all.problem is errors.ENGINE_QUEUE_FULL
    assert "your key" in str(of_key)
    assert "your key" not in str(of_all)
    for failure in (of_key, of_all):
        assert int(dict(failure.headers)[b"retry-after"]) >= 1


def test_who_is_turned_away_keeps_nobody_else_waiting(model_path, log, run) -> None:
    async def story():
        async with a_model(model_path, log, slots=1) as model:
            queue = model.engine.answers._queue
            queue.most = 1
            running = model.start(request(logit_bias=ON, stream=True), cap=1500)
            waiting = model.start(request())
            refused = model.start(request())
            assert refused.failure.problem is errors.ENGINE_QUEUE_FULL
            assert queue.is_open
            running.close()
            assert model.engine.answers.running == 1  # The one that waited.
            waiting.close()
            refused.close()

    run(story())


def test_ten_clients_of_one_key_do_not_starve_another(model_path, log, run) -> None:
    """Its wait is at most twice its fair share: with two keys, half of the slots' time."""

    async def story():
        async with a_model(model_path, log, slots=2) as model:
            is_over = False
            crowd_done = 0

            async def crowd():
                nonlocal crowd_done
                while not is_over:
                    await model.ask(request(logit_bias=ON), key="crowd", cap=60)
                    crowd_done += 1

            clients = [asyncio.ensure_future(crowd()) for _ in range(10)]
            await until(lambda: crowd_done > 20)
            before = crowd_done
            begun_at = time.monotonic()
            for _ in range(20):
                await model.ask(request(logit_bias=ON), key="alone", cap=60)
            took = time.monotonic() - begun_at
            beside = crowd_done - before
            is_over = True
            await asyncio.gather(*clients)
            return took, beside

    took, beside = run(story())
    assert took > 0
    # It waits for the next end, half an answer, and is answered in one: meanwhile the crowd gets
    # two answers. In the order of arrival it would be ten.
    assert beside <= 3 * 20


@pytest.mark.parametrize("fault", ["missing", "changed", "corrupt", "folder"])
def test_a_file_that_cannot_be_served_is_told_in_one_line(
    model_path, log, tmp_path, run, fault
) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(model_path.read_bytes())
    record = record_of(path)
    if fault == "missing":
        path.unlink()
    elif fault == "changed":
        path.write_bytes(model_path.read_bytes() + b"x")
    elif fault == "corrupt":
        path.write_bytes(model_path.read_bytes()[:100_000])
        record = record_of(path)
    else:
        path.unlink()
        path.mkdir()

    async def story():
        engine = LocalEngine(record, log)
        engine.begin()
        try:
            said = await engine.check()
            with pytest.raises(ApiError) as refused:
                await engine.count(request(), "key")
            return said, refused.value
        finally:
            await engine.close()

    said, refused = run(story())
    words = {"missing": "no file", "changed": "SHA-256", "corrupt": "cannot load", "folder": "read"}
    assert words[fault] in said
    assert "\n" not in said
    assert refused.problem is errors.ENGINE_BUSY
    assert dict(refused.headers)[b"retry-after"]
