"""Reports: what was used, by key, model and day, from and until when."""

import pytest
from made_keys import make_key
from made_usage import made_usage

from keyhall.flows.manage.checks import Invalid
from keyhall.flows.manage.usage import report

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
MIDNIGHT_US = 1_800_000_000_000_000 - 1_800_000_000_000_000 % DAY_US  # 2027-01-15


def used(number, at_us, **more):
    counted = {"input_tokens": 10, "output_tokens": 1, "cost_nano": 100}
    return made_usage(number, at_us, **(counted | more))


SOME = [
    used(1, MIDNIGHT_US - 1),
    used(2, MIDNIGHT_US),
    used(3, MIDNIGHT_US + HOUR_US, version="v1.1-sandbox-1"),
    used(4, MIDNIGHT_US + 2 * HOUR_US, key_id="key_other0000000", input_tokens=5),
    used(5, MIDNIGHT_US + 2 * HOUR_US, key_id="key_other0000000"),
    used(6, MIDNIGHT_US + 2 * HOUR_US + 1, key_id="key_other0000000"),
]


def reported(house, by, since_us=None, until_us=None, key_ids=None):
    async def work(store):
        await store.record_usage(SOME)
        return await report(store, by, since_us=since_us, until_us=until_us, key_ids=key_ids)

    return house.run(work)


def test_by_key_the_busiest_comes_first(house) -> None:
    found = reported(house, "key")
    assert [(line.group, line.requests) for line in found.lines] == [
        ("key_000000000000", 3),
        ("key_other0000000", 3),
    ]
    assert (found.total.requests, found.total.input_tokens) == (6, 55)
    assert (found.total.output_tokens, found.total.cost_nano) == (6, 600)


def test_by_model(house) -> None:
    found = reported(house, "model")
    assert [(line.group, line.requests) for line in found.lines] == [
        ("v1-sandbox-1", 5),
        ("v1.1-sandbox-1", 1),
    ]


def test_by_day_in_order(house) -> None:
    found = reported(house, "day")
    assert [(line.group, line.requests) for line in found.lines] == [
        ("2027-01-14", 1),
        ("2027-01-15", 5),
    ]


@pytest.mark.parametrize(
    ("since_us", "until_us", "requests", "covers"),
    [
        (MIDNIGHT_US, None, 5, (MIDNIGHT_US, None)),
        (MIDNIGHT_US + 1, None, 5, (MIDNIGHT_US, None)),
        (None, MIDNIGHT_US, 1, (None, MIDNIGHT_US)),
        (None, MIDNIGHT_US + 1, 2, (None, MIDNIGHT_US + HOUR_US)),
        (MIDNIGHT_US + HOUR_US, MIDNIGHT_US + 2 * HOUR_US, 1, None),
        (MIDNIGHT_US + 9 * HOUR_US, None, 0, None),
    ],
)
def test_a_report_covers_full_hours_and_says_which(
    house, since_us, until_us, requests, covers
) -> None:
    found = reported(house, "key", since_us, until_us)
    assert found.total.requests == requests
    assert (found.since_us, found.until_us) == (covers or (since_us, until_us))


def test_a_report_that_ends_before_it_begins_is_refused(house) -> None:
    with pytest.raises(Invalid, match="end before it begins"):
        reported(house, "key", MIDNIGHT_US, MIDNIGHT_US - HOUR_US)


def test_a_report_on_one_key_has_its_name(house) -> None:
    async def work(store):
        fresh = await make_key(house, store, "laptop")
        await store.record_usage([*SOME, used(9, MIDNIGHT_US, key_id=fresh.key.id)])
        return fresh.key, await report(
            store, "key", since_us=None, until_us=None, key_ids=(fresh.key.id,)
        )

    key, found = house.run(work)
    assert [(line.group, line.name) for line in found.lines] == [(key.id, "laptop")]
    assert found.total.requests == 1


def test_nothing_used_is_an_empty_report(house) -> None:
    found = house.run(lambda store: report(store, "day", since_us=None, until_us=None))
    assert (found.lines, found.total.requests) == ((), 0)
