"""A disk that takes no more: refused as the store being away, and nothing is half there."""

import subprocess
import sys

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
