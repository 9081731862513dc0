"""How processes know each other: what a sign of life costs among many, and who answers for whom."""

import time
from typing import Any

import pytest

from keyhall.counters.redis import scripts
from keyhall.counters.redis.link import KEYS, MEMBER_US

MANY = 200


def beat(redis: Any, name: str, joined: str = "", *more: str, lost_at: int = 0) -> list[str]:
    """The epoch, members, missing, the time, the epoch's age, and whether it is to tell."""
    keys = [len(KEYS), *KEYS]
    fresh = int(not joined)
    words = (name, joined, "memory", lost_at, MEMBER_US, fresh, *more)
    said = redis.tell("EVAL", scripts.BEAT.body, *keys, *words)
    assert said.startswith(b"*6"), said
    lines = said.decode().split("\r\n")
    return [line for line in lines[1:-1] if not line.startswith("$")]


def counted(redis: Any, name: str, joined: str) -> tuple[str, str]:
    _, members, missing, *_ = beat(redis, name, joined)
    return members, missing


def scans(redis: Any) -> int:
    said = redis.tell("INFO", "commandstats").decode()
    return int(said.partition("cmdstat_hgetall:calls=")[2].partition(",")[0] or 0)


@pytest.mark.parametrize(("processes", "each"), [(MANY, False), (20, True)], ids=["many", "few"])
def test_many_processes_are_not_counted_by_each_of_them(own_redis, processes, each):
    epoch = beat(own_redis, "first")[0]
    for number in range(processes - 1):
        beat(own_redis, f"number-{number}", epoch)
    own_redis.tell("CONFIG", "RESETSTAT")
    began = time.monotonic()
    for number in range(processes - 1):
        beat(own_redis, f"number-{number}", epoch)
    if each:
        assert scans(own_redis) == processes - 1
    else:
        assert scans(own_redis) <= 2 + (time.monotonic() - began) / 0.1


def test_a_count_of_many_is_a_tenth_of_a_second_old_at_most_and_of_the_same_epoch(own_redis):
    epoch = beat(own_redis, "first")[0]
    for number in range(MANY):
        beat(own_redis, f"number-{number}", epoch)
    time.sleep(0.11)  # Redis' own clock: nobody can set it.
    assert counted(own_redis, "first", epoch) == (f":{MANY + 1}", ":0")
    again = beat(own_redis, "number-0", epoch, lost_at=int(1e18))
    assert again[0] != epoch
    assert (again[1], again[2]) == (f":{MANY + 1}", f":{MANY + 1}")
    time.sleep(0.11)
    assert counted(own_redis, "number-0", again[0]) == (f":{MANY + 1}", f":{MANY}")
