"""R14: commands and servers write to one database at the same time, and nobody loses anything."""

import json
import subprocess
import sys

import pytest

from keyhall.flows.manage import keys
from keyhall.policy.tiers import BUILT_IN

WRITER = """
import asyncio, hashlib, json, sys
from pathlib import Path
from keyhall.flows.manage import keys
from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.policy.tiers import BUILT_IN
from keyhall.ports.records import Actor
from keyhall.stores.pepper import load_peppers
from keyhall.stores.opening import open_database

data, who, url = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def used(number):
    request_id = hashlib.sha256(f"{who} {number}".encode()).hexdigest()[:32]
    return Usage(request_id, "key_000000000000", "proj_0", "org_0", "v1-sandbox-1", Endpoint.CHAT,
                 False, False, 1_000 + number, 2_000, 0, 1, 1, 2, 1, 0, Outcome.ANSWERED,
                 UsageSource.COUNTED)

async def work():
    made = []
    async with await open_database(url, data) as store:
        for number in range(20):
            fresh = await keys.create(
                store, keys.NewKey(f"{who} {number}"), tiers=BUILT_IN,
                pepper=load_peppers(data)[0],
                entropy=hashlib.shake_256(f"{who} {number}".encode()).digest(128),
                actor=Actor(who, "a process"), now_us=1_800_000_000_000_000 + number)
            await store.record_usage([used(number * 10 + each) for each in range(10)])
            await store.roll_up()
            made.append(fresh.key.id)
    print(json.dumps(made))

asyncio.run(work())
"""


@pytest.fixture
def house(any_house):
    return any_house


def test_r14_two_processes_write_at_once_and_all_of_it_is_there(house) -> None:
    before = house.run(lambda store: store.last_change())
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WRITER, str(house.data), who, house.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for who in ("one", "two")
    ]
    made = set()
    for process in started:
        said, error = process.communicate(timeout=60)
        assert process.returncode == 0, error.decode()
        made |= set(json.loads(said))

    async def work(store):
        changes = await store.changes_since(before)
        return {change.id for change in changes}, len(await store.usage_since(0))

    assert house.run(work) == (made, 400)
    assert len(made) == 40


def test_r14_a_change_is_seen_by_another_connection_at_its_next_question(house) -> None:
    async def work(store):
        seen = await store.last_change()
        assert list(await store.changes_since(seen)) == []
        done = subprocess.run(
            [sys.executable, "-c", WRITER, str(house.data), "other", house.url],
            capture_output=True,
            check=True,
            timeout=60,
        )
        return json.loads(done.stdout), await store.changes_since(seen)

    made, told = house.run(work)
    assert [change.id for change in told] == made


ROTATOR = """
import asyncio, hashlib, sys
from pathlib import Path
from keyhall.flows.manage import keys
from keyhall.flows.manage.checks import Refused
from keyhall.ports.records import Actor
from keyhall.stores.opening import open_database
from keyhall.stores.pepper import load_peppers

data, who, url, key = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

async def work():
    async with await open_database(url, data) as store:
        print("ready", flush=True)
        sys.stdin.readline()
        try:
            made, _ = await keys.rotate(
                store, key, overlap_us=1_000_000, pepper=load_peppers(data)[0],
                entropy=hashlib.shake_256(who.encode()).digest(128),
                actor=Actor(who, "a process"), now_us=1_800_000_000_000_000)
        except Refused as refused:
            print("refused", refused)
        else:
            print("made", made.key.id)

asyncio.run(work())
"""


def test_two_processes_that_rotate_one_key_make_one_successor(house) -> None:
    async def make(store):
        fresh = await keys.create(
            store,
            keys.NewKey("app"),
            tiers=BUILT_IN,
            pepper=house.peppers[0],
            entropy=house.entropy(),
            actor=house.actor,
            now_us=house.now_us,
        )
        return fresh.key.id

    key = house.run(make)
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", ROTATOR, str(house.data), who, house.url, key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in ("one", "two")
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.communicate(timeout=60)[0] for process in started)
    assert said[0].startswith("made key_")
    assert said[1].startswith("refused ")
    assert "already" in said[1] or "rotated" in said[1]
