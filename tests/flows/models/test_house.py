"""The house model: what is in the package is what the record says, and where it stands."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from made_models import made_model

from keyhall.config import Config, Models
from keyhall.engines.local import gguf
from keyhall.flows.engines import use_upstream
from keyhall.flows.engines.aiming import EMBEDDED
from keyhall.flows.manage import engines
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.models import house as the_house
from keyhall.flows.models import manage
from keyhall.flows.models.house import RECORD
from keyhall.ports.records import Actor, EngineRecord

BY_HAND = Actor("operator:ada", "command line")
START = 1_900_000_000_000_000
TINY = made_model()
OF_HOUSE = {
    "v1": "v1-house-1",
    "keyhall-v1": "v1-house-1",
    "v1.1": "v1.1-house-1",
    "keyhall-v1.1": "v1.1-house-1",
}


async def means(store):
    aliases = (await store.load_catalogue()).aliases
    return {alias: aliases[alias] for alias in EMBEDDED}


async def start(store, config, now_us=START):
    """What a start without an upstream makes of `v1`."""
    known = await the_house.all_models(store, config)
    return (await use_upstream.offer(store, None, "", now_us, known)).notes


def by(seconds=1):
    return {"actor": BY_HAND, "now_us": START + seconds}


@pytest.fixture
def wanted(tmp_path: Path) -> Config:
    return Config(data=tmp_path)


@pytest.fixture
def off(tmp_path: Path) -> Config:
    return Config(data=tmp_path, models=Models(house=False))


def test_the_file_in_the_package_is_the_one_that_was_examined() -> None:
    path = Path(RECORD.path)
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == RECORD.sha256
    assert len(data) == RECORD.size <= 16_000_000
    header = gguf.read(data, len(data))
    assert header.architecture == RECORD.architecture
    assert header.parameters == RECORD.parameters
    assert header.context == RECORD.context == RECORD.slot_context
    assert bool(header.template) == RECORD.has_template
    assert RECORD.sha256 in (the_house.FOLDER / "MODEL_CARD.md").read_text()


def test_r9_it_stands_behind_v1_where_there_is_nothing_better(house, wanted) -> None:
    async def story(store):
        told = await start(store, wanted)
        assert told[0] == "v1 and keyhall-v1 now mean v1-house-1 (before: v1-sandbox-1)."
        assert await means(store) == OF_HOUSE
        assert await start(store, wanted) == []
        version = (await store.load_catalogue()).find("v1.1")
        assert (version.max_input_tokens, version.max_output_tokens) == (384, 4096)

    house.run(story)


def test_a_model_that_the_operator_adds_comes_first_and_goes_back_to_it(house, wanted) -> None:
    async def story(store):
        await start(store, wanted)
        await manage.add(store, TINY, **by())
        assert (await means(store))["v1"] == "v1-tiny-1"
        assert await start(store, wanted) == []
        await manage.remove(store, "tiny", use="v1-sandbox-1", own=RECORD, **by(2))
        assert await means(store) == OF_HOUSE

    house.run(story)


def test_switched_off_the_sandbox_answers_again(house, wanted, off) -> None:
    async def story(store):
        await start(store, wanted)
        await start(store, off)
        assert await means(store) == EMBEDDED
        await start(store, wanted)
        assert await means(store) == OF_HOUSE

    house.run(story)


def test_it_is_listed_found_and_neither_removed_nor_replaced(house, wanted) -> None:
    async def story(store):
        await start(store, wanted)
        listed = await manage.list_all(store, START, own=RECORD)
        assert [(model.name, [each.name for each in versions]) for model, versions in listed] == [
            ("house", ["v1-house-1", "v1.1-house-1"])
        ]
        assert (await manage.find(store, "house", START, own=RECORD))[0] == RECORD
        with pytest.raises(Invalid, match="comes with Keyhall: KEYHALL_MODELS_HOUSE=false"):
            await manage.remove(store, "house", use="v1-sandbox-1", own=RECORD, **by())
        with pytest.raises(Invalid, match="Choose another name"):
            await manage.check_free(store, "house")

    house.run(story)


def test_an_engine_of_its_name_keeps_it(house, wanted) -> None:
    async def story(store):
        mine = EngineRecord("house", "http://127.0.0.1:9/v1", None, START)
        await engines.add(store, mine, **by())
        assert await house_of(store, wanted) == []

    house.run(story)


def test_an_older_model_of_its_name_keeps_it(house, wanted) -> None:
    async def story(store):
        await manage.add(store, replace(TINY, name="house"), **by())
        assert [each.path for each in await house_of(store, wanted)] == [TINY.path]
        assert len(await manage.list_all(store, START, own=RECORD)) == 1
        assert (await manage.find(store, "house", START, own=RECORD))[0].path == TINY.path

    house.run(story)


async def house_of(store, config):
    return [each for each in await the_house.all_models(store, config) if each.name == "house"]


def test_its_file_is_fine_whenever_the_package_was_unpacked() -> None:
    assert the_house.state(RECORD) == "ok"
    assert the_house.state(replace(RECORD, path=str(Path(__file__).parent / "none"))) == "missing"
