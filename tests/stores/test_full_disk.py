"""A disk that takes no more: refused as the store being away, and nothing is half there."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, resource, sys
from pathlib import Path
from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.ports.records import Actor
from keyhall.ports.store import StoreAway
from keyhall.stores.sqlite import open_store

def used(number):
    return Usage(f"{number:032x}", "key_000000000000", "proj_0", "org_0", "v1", Endpoint.CHAT,
                 False, False, number, 2, 0, 1, 1, 2, 1, 0, Outcome.ANSWERED, UsageSource.COUNTED)

def limit_files(size_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))

async def refused(work):
    try:
        await work
    except StoreAway as error:
        return str(error)
    raise AssertionError("the disk was not full")

async def main():
    data = Path(sys.argv[1])
    async with await open_store(data / "keyhall.db") as store:
        await store.record_usage([used(1)])
        limit_files(1)
        batch = [used(number) for number in range(2, 20_000)]
        print(await refused(store.record_usage(batch)))
        print(await refused(store.move_alias("v1", "v1.1-sandbox-1", Actor("a", "b"), 1)))
        assert len(await store.usage_since(0)) == 1, "reading goes on"
        limit_files(resource.RLIM_INFINITY)
        await store.record_usage(batch)
        await store.move_alias("v1", "v1.1-sandbox-1", Actor("a", "b"), 1)
        assert len(await store.usage_since(0)) == 19_999

asyncio.run(main())
"""


def test_a_full_disk_loses_nothing_and_ends_when_there_is_room(house) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(house.data)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


REPORT = """
import asyncio, json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from hall_inside import open_inside
from plain_http import chat
from keyhall.clock import ManualClock
from keyhall.stores import notes

def limit_files(size_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))

async def main():
    async with open_inside(Path(sys.argv[1]), ManualClock()) as inside:
        key = (await inside.make_key()).text.reveal()
        other = (await inside.make_key("other")).text.reveal()

        async def report():
            line = await inside.line()
            body = {"keys": [key, other], "url": "https://example.org/gist"}
            return await line.ask(None, body, path="/v1/keyhall/leaks")

        async def works(key):
            return (await (await inside.line()).ask(key, chat("Hi.", max_tokens=2))).status

        async def acts():
            async with inside.house.store.reading() as connection:
                return await notes.audit_rows(connection, action="key.revoke")

        assert await works(key) == 200
        limit_files(1)
        full = await report()
        print(full.status, full.error["code"], full.headers["retry-after"])
        assert (await works(key), await works(other)) == (200, 200), "not half of it"
        assert await acts() == []
        limit_files(resource.RLIM_INFINITY)
        again = await report()
        print(again.status, json.dumps(again.json))
        assert (await works(key), await works(other)) == (401, 401)
        assert len(await acts()) == 2

asyncio.run(main())
"""


def test_a_leak_that_is_reported_to_a_full_disk_is_refused_whole_and_taken_again(tmp_path) -> None:
    running = Path(__file__).parents[1] / "running"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REPORT, str(tmp_path / "data"), str(running)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    refused, taken = done.stdout.splitlines()
    assert refused == "503 server_is_overloaded 1"
    assert taken.startswith("200 ")
    assert taken.count('"revoked"') == 2


HELD = """
import asyncio, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from hall_inside import TESTER, open_inside
from plain_http import chat
from sqlalchemy import func, select
from keyhall.clock import ManualClock
from keyhall.flows.review.rules import set_rules
from keyhall.policy.review.rules import Rules
from keyhall.stores.content.tables import content
from keyhall.stores.organizations import default_project
from keyhall.stores.review.tables import review_items

def limit_files(size_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))

async def main():
    async with open_inside(Path(sys.argv[1]), ManualClock()) as inside:
        store = inside.house.store
        async with store.reading() as connection:
            project = await default_project(connection)
        now = {"actor": TESTER, "now_us": inside.clock.now_us()}
        await set_rules(store, project.id, Rules(hold="always"), **now)
        key = (await inside.make_key()).text.reveal()

        async def ask():
            return await (await inside.line()).ask(key, chat("May I?", max_tokens=5))

        async def count(table):
            async with store.reading() as connection:
                return await connection.scalar(select(func.count()).select_from(table))

        assert (await ask()).status == 202
        limit_files(1)
        full = await ask()
        print(full.status, full.error["code"], full.headers["retry-after"])
        assert (await count(review_items), await count(content)) == (1, 2), "not half of it"
        limit_files(resource.RLIM_INFINITY)
        assert (await ask()).status == 202
        assert (await count(review_items), await count(content)) == (2, 4)
        assert len(await inside.usage()) == 3, "what was produced is charged, once"

asyncio.run(main())
"""


def test_an_answer_that_a_full_disk_cannot_keep_for_a_person_is_refused_whole(tmp_path) -> None:
    running = Path(__file__).parents[1] / "running"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HELD, str(tmp_path / "data"), str(running)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "503 server_is_overloaded 1\n"
