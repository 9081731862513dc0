"""F-25, I-19: a backup that is taken at any moment of a busy server holds all that was delivered
before it began, none of it twice, and adds up."""

import asyncio
import http.client
import json
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from command_line import keyhall, keyhall_json
from hall_process import Premises

from keyhall.flows.backup import put_back, take
from keyhall.flows.verify import run
from keyhall.flows.verify.findings import silent
from keyhall.ledger.recovery import adopt_folder
from keyhall.stores.sqlite import open_store

CLIENTS = 4
WAIT_SECONDS_MAX = 30
BODY = json.dumps({"model": "v1", "messages": [{"role": "user", "content": "hello"}]})


class Load:
    """Clients that ask without a pause; `delivered` are requests whose answer is in their hands."""

    def __init__(self, port, key):
        self.delivered = {}  # request id: output tokens
        self._port = port
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_SECONDS_MAX)
        while not self._is_over.is_set():
            connection.request("POST", "/v1/chat/completions", BODY, self._headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            request_id = answer.headers["x-request-id"].removeprefix("req_")
            self.delivered[request_id] = told["usage"]["completion_tokens"]
        connection.close()

    def until(self, count):
        """Wait for so many answers more."""
        wanted = len(self.delivered) + count
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while len(self.delivered) < wanted:
            assert time.monotonic() < deadline, "the server answers nobody"
            time.sleep(0.001)


def restored(file, folder):
    """The rows of a backup once a start has settled what was in flight, by request id; every
    verification, before and after, is without a difference."""
    folder.mkdir()
    put_back.put_back(file, folder, stamp="now", moves_aside=False, progress=silent)

    async def inside():
        async with await open_store(folder / "keyhall.db") as store:
            before = await run.verify(store, folder, is_served=False)
            catalogue = await store.load_catalogue()
            versions = {each.number: each.name for each in catalogue.versions.values()}
            adopted = await adopt_folder(folder, store, versions, 2_000_000_000_000_000)
            assert adopted.damaged == ()
            await store.roll_up()
            after = await run.verify(store, folder, is_served=False)
            return before.differences + after.differences, await store.usage_since(0)

    differences, rows = asyncio.run(inside())
    assert differences == []
    ids = [row.request_id for row in rows]
    assert len(ids) == len(set(ids))
    return {row.request_id: row for row in rows}


def back_up_in_a_loop(tmp_path, times):
    premises = Premises(tmp_path)
    premises.data.mkdir(mode=0o700)
    key = premises.make_key()["key"]
    process = premises.start()
    try:
        with Load(process.port, key) as load:
            for number in range(times):
                load.until(5)
                before = dict(load.delivered)
                file = tmp_path / f"{number}.tar"
                taken = take.take(premises.data, file, now_us=1, progress=silent)
                yield before, restored(taken.path, tmp_path / f"restored-{number}"), taken
    finally:
        assert process.stop() == 0
    last = {row["request_id"] for row in premises.usage()}
    assert set(load.delivered) <= last
    [head] = premises.query("SELECT * FROM usage_batches ORDER BY number DESC LIMIT 1")
    [anchor] = premises.query(
        "SELECT * FROM audit WHERE action = 'chain.anchor' ORDER BY number DESC LIMIT 1"
    )
    assert anchor["target"] == head["writer"]
    assert json.loads(anchor["after"]) == {
        "sequence": head["sequence"],
        "digest": head["digest"].hex(),
    }, "a graceful stop anchors the last batch"


def check(tmp_path, times):
    in_flight = 0
    for before, rows, taken in back_up_in_a_loop(tmp_path, times):
        in_flight += taken.in_flight
        assert before.keys() <= rows.keys(), "delivered before the backup began, and not in it"
        for request_id, tokens in before.items():
            assert rows[request_id].output_tokens == tokens
    assert in_flight, "no backup saw a request in a journal: the load was none"


def test_f25_a_backup_under_load_has_all_that_was_delivered_and_nothing_twice(tmp_path) -> None:
    check(tmp_path, 4)


@pytest.mark.slow
def test_f25_thirty_backups_under_load(tmp_path) -> None:
    check(tmp_path, 30)


def test_f25_usage_after_a_restore_collides_with_none_before_it(tmp_path) -> None:
    """A restored hall is behind: what it records next has ids that no lost row had, because they
    begin with the time and end with 72 random bits; and chains begin anew with each process."""
    premises = Premises(tmp_path)
    premises.data.mkdir(mode=0o700)
    key = premises.make_key()["key"]
    process = premises.start()
    file = tmp_path / "early.tar"
    try:
        with Load(process.port, key) as load:
            load.until(5)
            premises.run("backup", str(file))
            load.until(20)
    finally:
        process.stop()
    lost = {row["request_id"]: row["finished_at_us"] for row in premises.usage()}
    writers = {row["writer"] for row in premises.query("SELECT writer FROM usage_batches")}
    keyhall(premises.data, premises.config, "restore", str(file), "--force")
    kept = {row["request_id"] for row in premises.usage()}
    assert kept < lost.keys()
    process = premises.start()
    try:
        with Load(process.port, key) as load:
            load.until(10)
    finally:
        process.stop()
    fresh = load.delivered.keys()
    assert not fresh & lost.keys()
    assert min(fresh) > max(kept)
    rows = premises.query("SELECT writer FROM usage_batches ORDER BY number DESC LIMIT 1")
    assert rows[0]["writer"] not in writers
    assert keyhall_json(premises.data, premises.config, "verify")["ok"]
