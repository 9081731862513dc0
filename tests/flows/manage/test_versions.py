"""Versions never change, names move (R8)."""

from dataclasses import replace

import pytest

from keyhall.flows.manage import engines
from keyhall.flows.manage import versions as manage
from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.policy.catalogue import Price, Sampling, Version, status_at
from keyhall.ports.records import EngineRecord

DAY_US = 24 * 3_600_000_000


def by(house, after_us=0):
    return {"actor": house.actor, "now_us": house.now_us + after_us}


def version(house, **more):
    return Version(
        **{
            "number": 0,
            "name": "house-1",
            "engine": "sandbox",
            "engine_model": "sandbox",
            "created_at_us": house.now_us,
            **more,
        }
    )


def test_a_version_is_added_and_found_under_its_name_and_its_aliases(house) -> None:
    async def work(store):
        added = await manage.add(
            store, version(house, sampling=Sampling(1.0, 0.5, -2, 2)), **by(house)
        )
        await manage.move_alias(store, "house", "house-1", **by(house))
        return added, [await manage.find(store, name) for name in ("house-1", "house")]

    added, found = house.run(work)
    assert found == [(added, ["house"])] * 2


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"name": "v1-sandbox-1"}, "a version never changes"),
        ({"name": "v1"}, "v1 is an alias"),
        ({"name": "no spaces"}, "cannot be the name of a version"),
        ({"name": ""}, "The name of a version is empty"),
        ({"name": "x" * 101}, "cannot be the name"),
        ({"engine": "nosuch"}, "no engine 'nosuch'; there is sandbox"),
        ({"max_input_tokens": 0}, "maximum input of 0 tokens"),
        ({"max_output_tokens": 10**8}, "maximum output of 100,000,000 tokens"),
        ({"sampling": Sampling(2.1)}, "temperature of 2.1 is not in 0...2"),
        ({"sampling": Sampling(top_p=-0.1)}, "top_p of -0.1"),
        ({"sampling": Sampling(frequency_penalty=3)}, "frequency penalty of 3"),
        ({"sampling": Sampling(presence_penalty=-3)}, "presence penalty of -3"),
        ({"price": Price(-1, 0)}, "A price is between 0 and 1,000,000"),
        ({"price": Price(0, 10**13)}, "A price is between"),
    ],
)
def test_a_version_that_makes_no_sense_is_refused(house, asked, sentence) -> None:
    async def work(store):
        with pytest.raises(Invalid, match=sentence):
            await manage.add(store, version(house, **asked), **by(house))
        return len((await store.load_catalogue()).versions)

    assert house.run(work) == 9


def test_a_deprecated_version_answers_until_its_day(house) -> None:
    async def work(store):
        end_us = house.now_us + DAY_US
        await manage.deprecate(store, "v1", retires_at_us=end_us, replacement="v1.1", **by(house))
        later = await manage.deprecate(
            store, "v1", retires_at_us=None, replacement=None, **by(house, 5)
        )
        return later, (await store.load_catalogue()).find("v1")

    later, found = house.run(work)
    assert later == found, "the second time says no more than the first"
    assert (found.status, found.replacement) == ("deprecated", "v1.1")
    assert (found.deprecated_at_us, found.retires_at_us) == (house.now_us, house.now_us + DAY_US)
    assert status_at(found, house.now_us + DAY_US - 1) == "deprecated"
    assert status_at(found, house.now_us + DAY_US) == "retired"


def test_a_retired_version_says_what_to_use_and_stays_retired(house) -> None:
    async def work(store):
        retired = await manage.retire(store, "v1", replacement="v1.1", **by(house))
        again = await manage.retire(store, "v1", replacement="sandbox/slow", **by(house, 5))
        assert again == replace(retired, replacement="sandbox/slow")
        await manage.retire(store, "v1", replacement="v1.1", **by(house, 5))
        for act in (
            manage.retire(store, "v1", replacement=None, **by(house)),
            manage.deprecate(store, "v1", retires_at_us=None, replacement=None, **by(house)),
        ):
            with pytest.raises(Invalid, match="v1-sandbox-1 is retired already"):
                await act
        return retired, (await store.load_catalogue()).find("v1")

    retired, found = house.run(work)
    assert retired == found
    assert (found.status, found.replacement, found.retires_at_us) == (
        "retired",
        "v1.1",
        house.now_us,
    )


def test_a_version_that_an_alias_means_does_not_retire_without_a_replacement(house) -> None:
    async def work(store):
        with pytest.raises(Invalid, match=r"still mean v1-sandbox-1: .*--use.*aliases move"):
            await manage.retire(store, "v1", replacement=None, **by(house))
        for alias in ("one", "two"):
            await manage.move_alias(store, alias, "sandbox/slow", **by(house))
        with pytest.raises(Invalid, match="one, two still mean sandbox/slow"):
            await manage.retire(store, "sandbox/slow", replacement=None, **by(house))
        await manage.move_alias(store, "one", "v1", **by(house))
        with pytest.raises(Invalid, match="two still means sandbox/slow"):
            await manage.retire(store, "sandbox/slow", replacement=None, **by(house))
        await manage.move_alias(store, "two", "v1", **by(house))
        return await manage.retire(store, "sandbox/slow", replacement=None, **by(house))

    assert house.run(work).status == "retired"


def test_the_end_of_a_version_is_in_the_future_and_its_replacement_answers(house) -> None:
    async def work(store):
        await manage.retire(store, "sandbox/slow", replacement=None, **by(house))
        for end_us, use, sentence in (
            (house.now_us, None, "That day has passed"),
            (None, "nosuch", "No version or alias nosuch"),
            (None, "keyhall-v1", "keyhall-v1 is v1-sandbox-1 itself"),
            (None, "sandbox/slow", "sandbox/slow is retired"),
        ):
            with pytest.raises((Invalid, NotFound), match=sentence):
                await manage.deprecate(
                    store, "v1", retires_at_us=end_us, replacement=use, **by(house)
                )

    house.run(work)


def test_a_version_whose_day_has_come_replaces_no_other(house) -> None:
    """A day retires as well as a command does."""

    async def work(store):
        end_us = house.now_us + DAY_US
        await manage.deprecate(store, "v1.1", retires_at_us=end_us, replacement=None, **by(house))
        for act in (
            manage.retire(store, "v1", replacement="v1.1", **by(house, DAY_US)),
            manage.deprecate(
                store, "v1", retires_at_us=None, replacement="v1.1", **by(house, DAY_US)
            ),
        ):
            with pytest.raises(Invalid, match=r"v1\.1 is retired; name a version that answers"):
                await act
        await manage.retire(store, "v1", replacement="v1.1", **by(house, DAY_US - 1))

    house.run(work)


def test_what_changes_an_answer_never_changes(house) -> None:
    """Deprecating, pricing and retiring leave the fingerprint, and all it is made of, alone."""

    async def work(store):
        before = (await store.load_catalogue()).find("v1")
        await manage.set_price(store, "v1", Price(7, 8), **by(house))
        await manage.deprecate(store, "v1", retires_at_us=None, replacement="v1.1", **by(house))
        await manage.retire(store, "v1", replacement=None, **by(house))
        return before, (await store.load_catalogue()).find("v1")

    before, after = house.run(work)
    assert after == replace(
        before,
        price=Price(7, 8),
        status="retired",
        deprecated_at_us=house.now_us,
        retires_at_us=house.now_us,
        replacement="v1.1",
    )


def test_r18_an_old_price_stays_on_record(house) -> None:
    async def work(store):
        for price in (Price(1, 2), Price(1, 2), Price(3, 4)):
            await manage.set_price(store, "v1", price, **by(house))
        with pytest.raises(Invalid, match="A price is between"):
            await manage.set_price(store, "v1", Price(-1, 0), **by(house))
        async with store.reading() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT input, output FROM prices WHERE version_number = 1 ORDER BY number"
            )
            return [tuple(row) for row in rows]

    assert house.run(work) == [(0, 0), (1, 2), (3, 4)]


def test_r8_an_alias_moves_only_to_a_version_that_answers(house) -> None:
    async def work(store):
        moved = await manage.move_alias(store, "v1", "v1.1", **by(house, 5))
        made = await manage.move_alias(store, "new", "v1", **by(house))
        same = await manage.move_alias(store, "v1", "v1.1-sandbox-1", **by(house, 9))
        await manage.retire(store, "sandbox/slow", replacement=None, **by(house))
        for name, wanted, sentence in (
            ("v1", "nosuch", "No version or alias nosuch"),
            ("v1", "sandbox/slow", "must mean a version that answers"),
            ("v1-sandbox-1", "v1", "is a version's own name"),
            ("no spaces", "v1", "cannot be the name of an alias"),
        ):
            with pytest.raises((Invalid, NotFound), match=sentence):
                await manage.move_alias(store, name, wanted, **by(house))
        return moved, made, same, (await store.load_catalogue()).aliases

    (now, before), (made, nothing), (same, _), aliases = house.run(work)
    assert (before.version, now.version) == ("v1-sandbox-1", "v1.1-sandbox-1")
    assert (made.version, nothing) == ("v1.1-sandbox-1", None)
    assert same.moved_at_us == now.moved_at_us == house.now_us + 5
    assert aliases["v1"] == aliases["new"] == "v1.1-sandbox-1"


# --- Engines --------------------------------------------------------------------------------------


async def add_engine(house, store, name="vllm", url="http://10.0.0.5:8000/v1/", key_env="VLLM_KEY"):
    return await engines.add(store, EngineRecord(name, url, key_env, house.now_us), **by(house))


def test_r9_an_engine_is_added_with_the_name_of_its_key_not_the_key(house) -> None:
    async def work(store):
        await add_engine(house, store)
        await add_engine(house, store, "open", "https://example.org", None)
        return await store.list_engines()

    assert house.run(work) == [
        EngineRecord("open", "https://example.org", None, house.now_us),
        EngineRecord("vllm", "http://10.0.0.5:8000/v1", "VLLM_KEY", house.now_us),
    ]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"name": "sandbox"}, "taken by Keyhall itself"),
        ({"name": "openai"}, "taken by Keyhall itself"),
        ({"name": "No"}, "cannot be an engine's name"),
        ({"name": ""}, "cannot be an engine's name"),
        ({"name": "x" * 41}, "cannot be an engine's name"),
        ({"url": "ftp://example.org"}, "neither with http:// nor with https://"),
        ({"url": "http://169.254.169.254/"}, "link-local"),
        ({"url": "http://user:pass@example.org"}, "a user name"),
        ({"key_env": "sk-abcdef"}, "not a key"),
        ({"key_env": "1KEY"}, "not a key"),
        ({"key_env": ""}, "not a key"),
    ],
)
def test_r9_an_engine_that_may_not_be_is_refused(house, asked, sentence) -> None:
    async def work(store):
        with pytest.raises(Invalid, match=sentence):
            await add_engine(house, store, **asked)
        return await store.list_engines()

    assert house.run(work) == []


def test_an_alias_falls_back_to_versions_that_answer_and_are_not_its_own(house) -> None:
    async def work(store):
        await manage.add(store, version(house), **by(house))
        await manage.add(store, version(house, name="old-1"), **by(house))
        await manage.retire(store, "old-1", replacement=None, **by(house))
        for name, wanted, sentence in (
            ("nosuch", ["house-1"], "No alias nosuch"),
            ("house-1", ["v1"], "No alias house-1"),
            ("v1", ["nosuch"], "No version or alias nosuch"),
            ("v1", ["old-1"], "old-1 is retired"),
            ("v1", ["house-1", "keyhall-v1"], "v1 means v1-sandbox-1 already"),
            ("v1", ["house-1"] * 9, "At most 8 versions"),
        ):
            with pytest.raises(Refused, match=sentence):
                await manage.set_fallbacks(store, name, wanted, **by(house))
        await manage.set_fallbacks(store, "v1", ["v1.1", "house-1", "v1.1"], **by(house))
        before = await store.last_change()
        same = await manage.set_fallbacks(store, "v1", ["v1.1", "house-1"], **by(house))
        assert await store.last_change() == before
        await manage.move_alias(store, "v1", "house-1", **by(house))
        return same, await store.load_catalogue()

    same, catalogue = house.run(work)
    assert same.fallbacks == ("v1.1-sandbox-1", "house-1")
    assert catalogue.fallbacks == {"v1": ("v1.1-sandbox-1", "house-1")}, "moving keeps them"
    assert catalogue.find("v1").name == "house-1"


def test_an_engine_is_added_once_and_removed_when_nothing_needs_it(house) -> None:
    async def work(store):
        await add_engine(house, store)
        with pytest.raises(Invalid, match="an engine vllm already"):
            await add_engine(house, store)
        await manage.add(store, version(house, engine="vllm"), **by(house))
        with pytest.raises(Invalid, match="house-1 would have no engine"):
            await engines.remove(store, "vllm", **by(house))
        await manage.retire(store, "house-1", replacement=None, **by(house))
        await engines.remove(store, "vllm", **by(house))
        with pytest.raises(Invalid, match="sandbox is embedded and cannot be removed"):
            await engines.remove(store, "sandbox", **by(house))
        with pytest.raises(NotFound, match="No engine vllm"):
            await engines.remove(store, "vllm", **by(house))
        return await store.list_engines()

    assert house.run(work) == []


def test_an_engine_whose_versions_retired_by_their_day_can_be_removed(house) -> None:
    async def work(store):
        await add_engine(house, store)
        await manage.add(store, version(house, engine="vllm"), **by(house))
        end_us = house.now_us + DAY_US
        await manage.deprecate(
            store, "house-1", retires_at_us=end_us, replacement=None, **by(house)
        )
        with pytest.raises(Invalid, match="house-1 would have no engine"):
            await engines.remove(store, "vllm", **by(house, DAY_US - 1))
        await engines.remove(store, "vllm", **by(house, DAY_US))
        return await store.list_engines()

    assert house.run(work) == []
