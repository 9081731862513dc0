"""Usage over time and the list of requests, in every database alike."""

import asyncio
import itertools
from datetime import UTC
from zoneinfo import ZoneInfo

from keyhall.flows.observe import over_time, requests
from keyhall.flows.observe.requests import Wanted
from keyhall.policy import spans
from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.ports.people import Sight
from keyhall.ports.requests import Refusal, RefusalCount
from keyhall.ports.usage import Asked, Filter
from keyhall.stores.requests import refusals

HOUR_US = spans.HOUR_US
OWNER = "org_000000000001"


def used(number, at_us):
    return Usage(
        f"{number:032x}", f"key_{number % 12:012}", "proj_000000000001", OWNER,
        "v1", Endpoint.CHAT, False, False, at_us, at_us + 2000, 1000, 10, 5, 20, 10, 7,
        Outcome.ANSWERED if number % 5 else Outcome.CLIENT_LEFT, UsageSource.ENGINE,
    )  # fmt: skip


def refused(number, at_us):
    key = f"key_{number % 12:012}"
    return Refusal(
        f"{number:032x}", key, "proj_000000000001", OWNER, "rate_requests", 429, at_us, False,
        "v1", "{}",
    )  # fmt: skip


def test_every_way_to_look_at_usage_gives_the_same_sums(any_house):
    house = any_house
    ends_us = house.now_us

    async def story():
        async with await house.open() as store:
            rows = [used(n, ends_us - n * HOUR_US * 3 - 1) for n in range(200)]  # 25 days
            await store.record_usage(rows)
            async with store.writing() as connection:
                counts = [
                    RefusalCount(ends_us - 60_000_000, f"key_{n:012}", "rate_requests", "v1",
                                 "proj_000000000001", OWNER, 2)
                    for n in range(12)
                ]  # fmt: skip
                await refusals.add(
                    connection, [refused(500, ends_us - 60_000_000)], counts, ends_us
                )
                await refusals.add(connection, [], counts, ends_us)
            zones = (UTC, ZoneInfo("America/New_York"))
            for grain, by, zone in itertools.product(
                (None, "hour", "day", "month"),
                ("none", "key", "model", "project", "outcome", "person"),
                zones,
            ):
                span = spans.chosen(ends_us - 30 * spans.DAY_US, ends_us, grain, zone)
                asked = Asked(span, by, Filter(), compares=True)
                found = await over_time.answer(store, Sight(OWNER), asked)
                assert (found.total.requests, found.total.input_tokens) == (200, 2000), (grain, by)
                assert (found.total.unanswered, found.total.refused) == (40, 48)
                assert sum(group.total.requests for group in found.groups) == 200
                assert found.latency.total_p95_us == 2000
                assert found.before is not None
            day = spans.chosen(ends_us - spans.DAY_US, ends_us, "minute", UTC)
            for by in ("none", "key", "model", "outcome", "person"):
                found = await over_time.answer(store, Sight(OWNER), Asked(day, by))
                assert (found.total.requests, found.total.refused) == (8, 48)
                assert found.latencies[-1].first_p50_us == 1000
            own = await over_time.answer(
                store, Sight(OWNER), Asked(day, "key", Filter(key_id="key_000000000001"))
            )
            assert [group.id for group in own.groups] == ["key_000000000001"]
            assert (await over_time.answer(store, Sight("org_2"), Asked(day))).total.requests == 0

    asyncio.run(story())


def test_the_list_of_requests_goes_on_where_it_ended(any_house):
    house = any_house

    async def story():
        async with await house.open() as store:
            rows = [used(n, house.now_us - n * HOUR_US // 2) for n in range(300)]
            await store.record_usage(rows)
            async with store.writing() as connection:
                more = [refused(1000 + n, house.now_us - n * HOUR_US) for n in range(100)]
                await refusals.add(connection, more, [], 0)
            for only, kind, count in (
                (Filter(), "all", 400),
                (Filter(), "refused", 100),
                (Filter(), "unanswered", 60),
                (Filter(key_id="key_000000000003"), "answered", 20),
                (Filter(version="v1"), "answered", 240),
            ):
                seen, mark = [], requests.NEWEST
                while mark is not None:
                    page, _ = await requests.page(store, Sight(OWNER), Wanted(only, kind), mark)
                    seen += [(line.at_us, line.request_id) for line in page.lines]
                    mark = page.next
                assert len(seen) == len(set(seen)) == count, kind
                assert seen == sorted(seen, reverse=True)
            wanted = Wanted(Filter(), "all")
            assert await requests.count_new(store, Sight(OWNER), wanted, (0, 0)) == 100
            found = await requests.find(store, Sight(OWNER), f"req_{7:032x}")
            assert found.usage == rows[7]

    asyncio.run(story())


def test_what_is_too_old_goes_from_both_tables(any_house):
    house = any_house

    async def story():
        async with await house.open() as store, store.writing() as connection:
            count = RefusalCount(60_000_000, "key_1", "row", "", "proj_1", OWNER, 1)
            await refusals.add(connection, [refused(1, 60_000_000), refused(2, 10**15)], [count], 0)
            assert await refusals.sweep(connection, 10**12) == 2
            assert await refusals.sweep(connection, 10**12) == 0

    asyncio.run(story())
