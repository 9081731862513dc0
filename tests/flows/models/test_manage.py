"""Models are added with a version and a name, and removed when nothing needs them; each step has
its witness, on both databases."""

from dataclasses import replace

import pytest
from made_models import made_model

from keyhall.flows.manage import engines, versions
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.models import manage
from keyhall.flows.models.versions import most_tokens
from keyhall.policy.catalogue import ENGINE_COUNTS, Price, Version
from keyhall.ports.records import EngineRecord
from keyhall.stores import notes


@pytest.fixture
def house(any_house):
    return any_house


def model(house, name="tiny", **changes):
    return made_model(name=name, **{"created_at_us": house.now_us} | changes)


def by(house):
    return {"actor": house.actor, "now_us": house.now_us}


async def add(store, model, house):
    """Without what it makes of `v1`, which tests/flows/engines/test_aiming.py has."""
    return await manage.add(store, model, can_run=False, **by(house))


async def acts(store):
    async with store.reading() as connection:
        rows = await notes.audit_rows(connection)
    return [(row.action, row.target) for row in reversed(rows)]


def test_r8_adding_a_model_makes_its_version_and_its_alias_by_audited_steps(house) -> None:
    async def work(store):
        before = len(await acts(store))
        seen = await store.last_change()
        added = await add(store, model(house), house)
        assert (await acts(store))[before:] == [
            ("model.add", "tiny"),
            ("version.add", "tiny-1"),
            ("alias.move", "tiny"),
        ]
        kinds = [change.kind for change in await store.changes_since(seen)]
        assert kinds == ["engine", "catalogue", "catalogue"]
        return added, await store.list_models(), await store.load_catalogue()

    added, kept, catalogue = house.run(work)
    assert kept == [model(house)] == [added.model]
    version = catalogue.find("tiny")
    assert version == added.version
    assert (version.name, version.engine, version.engine_model) == (
        "tiny-1",
        "tiny",
        "tiny@abababababab",
    )
    assert (version.tokenizer, version.count) == (ENGINE_COUNTS, "exact")
    assert (version.max_input_tokens, version.max_output_tokens) == (1536, 512)
    assert version.price == Price(0, 0)
    assert ENGINE_COUNTS not in catalogue.tokenizers()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "sandbox"}, "taken by Keyhall itself"),
        ({"name": "No Name"}, "cannot be an engine's name"),
        ({"slots": 0}, "0 slots make no sense"),
        ({"slots": 65}, "65 slots make no sense"),
        ({"slot_context": 255}, r"255 tokens is not in 256\.\.\.2,048"),
        ({"slot_context": 2049}, "the model was trained for 2,048"),
        ({"slot_context": 10_000_001, "context": 0}, "not in 256...10,000,000"),
        ({"threads": 0}, "0 threads make no sense"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_kept(
    sqlite_house, changes, sentence
) -> None:
    house = sqlite_house

    async def work(store):
        with pytest.raises(Invalid, match=sentence):
            await add(store, model(house, **changes), house)
        return await store.list_models()

    assert house.run(work) == []


def test_names_of_models_engines_versions_and_aliases_are_told_apart(house) -> None:
    async def work(store):
        vllm = EngineRecord("vllm", "http://10.0.0.5/v1", None, house.now_us)
        await engines.add(store, vllm, **by(house))
        await versions.move_alias(store, "mine", "v1", **by(house))
        await add(store, model(house), house)
        for name, sentence in (
            ("vllm", "There is an engine vllm already"),
            ("tiny", "There is a model tiny already"),
            ("tiny-1", "tiny-1 is a version's own name"),
            ("mine", "mine means v1-sandbox-1 already"),
        ):
            for adding in (
                add(store, model(house, name), house),
                manage.check_free(store, name),
            ):
                with pytest.raises(Invalid, match=sentence):
                    await adding
        with pytest.raises(Invalid, match="There is a model tiny already"):
            await engines.add(store, replace(vllm, name="tiny"), **by(house))
        with pytest.raises(Invalid, match="`keyhall models remove tiny`"):
            await engines.remove(store, "tiny", **by(house))
        with pytest.raises(Invalid, match="tiny is a model and cannot be drained"):
            await engines.drain(store, "tiny", **by(house))

    house.run(work)


def test_another_version_may_answer_from_a_model_which_counts_for_it(house) -> None:
    async def work(store):
        await add(store, model(house), house)
        other = Version(0, "calm", "tiny", "x", house.now_us, count="estimated")
        with pytest.raises(Invalid, match="4,096 out do not fit: a request to tiny has 2,048"):
            await versions.add(store, other, **by(house))
        fitting = replace(other, max_input_tokens=2000, max_output_tokens=48, fingerprint="")
        made = await versions.add(store, fitting, **by(house))
        return made, await manage.list_all(store, house.now_us)

    made, ((_, used),) = house.run(work)
    assert (made.engine_model, made.tokenizer, made.count) == (
        "tiny@abababababab",
        ENGINE_COUNTS,
        "exact",
    )
    assert made.fingerprint == replace(made, fingerprint="").fingerprint
    assert [version.name for version in used] == ["tiny-1", "calm"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [((None, None), (1536, 512)), ((1000, None), (1000, 1048)), ((None, 48), (2000, 48))],
)
def test_what_was_not_said_is_the_rest_of_a_slot(sqlite_house, asked, found) -> None:
    assert most_tokens(model(sqlite_house), *asked) == found
    assert most_tokens(None, None, 7) == (4096, 7)


def test_a_model_is_removed_when_no_version_needs_it(house) -> None:
    async def work(store):
        await add(store, model(house), house)
        with pytest.raises(Invalid, match="tiny-1 would have no engine: `keyhall models remove"):
            await manage.remove(store, "tiny", use=None, **by(house))
        await versions.retire(store, "tiny-1", replacement="v1", **by(house))
        removed = await manage.remove(store, "tiny", use=None, **by(house))
        assert (removed.model, removed.retired) == (model(house), [])
        with pytest.raises(NotFound, match="No model tiny"):
            await manage.remove(store, "tiny", use=None, **by(house))
        with pytest.raises(NotFound, match="No model tiny"):
            await manage.find(store, "tiny", house.now_us)
        return await store.list_models()

    assert house.run(work) == []


def test_a_model_is_removed_with_its_versions_in_one_step_if_something_else_answers(house) -> None:
    async def work(store):
        await add(store, model(house), house)
        await versions.move_alias(store, "v1.1", "tiny", **by(house))
        for use, sentence in (("tiny", "would be gone too"), ("nosuch", "No version or alias")):
            with pytest.raises((Invalid, NotFound), match=sentence):
                await manage.remove(store, "tiny", use=use, **by(house))
        assert [each.name for each in await store.list_models()] == ["tiny"], "all or nothing"
        removed = await manage.remove(store, "tiny", use="v1", **by(house))
        return removed, (await acts(store))[-2:], await store.load_catalogue()

    removed, done, catalogue = house.run(work)
    assert [version.name for version in removed.retired] == ["tiny-1"]
    assert removed.aliases == ["tiny", "v1.1"]
    assert done == [("version.retire", "tiny-1"), ("model.remove", "tiny")]
    assert catalogue.find("tiny").replacement == "v1"


def test_r8_a_name_that_was_used_before_gets_the_next_version(house) -> None:
    """A version never changes: what tiny-1 was stays on record."""

    async def work(store):
        await add(store, model(house), house)
        await manage.remove(store, "tiny", use="v1", **by(house))
        other = model(house, sha256="cd" * 32)
        added = await add(store, other, house)
        return added, await store.load_catalogue()

    added, catalogue = house.run(work)
    assert added.version.name == "tiny-2"
    assert catalogue.find("tiny").name == "tiny-2"
    assert catalogue.find("tiny-1").status == "retired"
