"""R8, R9: who stands behind `v1`: an upstream from the environment, else the first model that was
added, else the sandbox; whatever happened before, and without a word against the operator's."""

from dataclasses import replace

import pytest
from made_models import made_model

from keyhall.flows.engines import use_upstream
from keyhall.flows.engines.aiming import EMBEDDED
from keyhall.flows.models import manage
from keyhall.flows.models.versions import CALMER, PLAIN, version_of
from keyhall.policy.catalogue import ENGINE_COUNTS
from keyhall.ports.records import Actor
from keyhall.stores import catalogue, models, notes

BY_HAND = Actor("operator:ada", "command line")
TINY = made_model()
OTHER = replace(TINY, name="other", created_at_us=2)
OF_TINY = {"v1": "v1-tiny-1", "keyhall-v1": "v1-tiny-1"} | {
    "v1.1": "v1.1-tiny-1",
    "keyhall-v1.1": "v1.1-tiny-1",
}
TOLD = [
    "v1 and keyhall-v1 now mean v1-tiny-1 (before: v1-sandbox-1).",
    "v1.1 and keyhall-v1.1 now mean v1.1-tiny-1 (before: v1.1-sandbox-1).",
]


class Upstream:
    """One that lists these models, as the environment's engine does."""

    name = "upstream"

    def __init__(self, *listed: str) -> None:
        self._listed = list(listed)

    def why(self, error: Exception) -> str:
        return str(error)

    async def list_models(self) -> list[str]:
        return self._listed


class Hall:
    def __init__(self, store, now_us: int) -> None:
        self.store = store
        self._now_us = now_us

    def by(self):
        self._now_us += 1
        return {"actor": BY_HAND, "now_us": self._now_us}

    async def add(self, model, **more):
        return (await manage.add(self.store, model, **more, **self.by())).notes

    async def remove(self, name, use="v1-sandbox-1"):
        return (await manage.remove(self.store, name, use=use, **self.by())).notes

    async def start(self, *listed, wanted=""):
        """What a start says, with an upstream in its environment where it lists something."""
        self._now_us += 1
        async with self.store.reading() as connection:
            there = await models.list_models(connection)
        given = Upstream(*listed) if listed else None
        return (await use_upstream.offer(self.store, given, wanted, self._now_us, there)).notes

    async def move_by_hand(self, alias, version):
        async with self.store.writing() as connection:
            await catalogue.aim(connection, alias, version, BY_HAND, self._now_us)

    async def means(self):
        aliases = (await self.store.load_catalogue()).aliases
        return {alias: aliases[alias] for alias in EMBEDDED}


@pytest.fixture
def during(house):
    def run(story):
        return house.run(lambda store: story(Hall(store, house.now_us)))

    return run


def test_the_first_model_stands_behind_v1_and_v1_1_at_once_where_the_sandbox_did(during) -> None:
    async def story(hall):
        assert await hall.add(TINY) == TOLD
        assert await hall.means() == OF_TINY
        known = await hall.store.load_catalogue()
        plain, calmer = known.find("v1"), known.find("v1.1")
        assert (plain.sampling, calmer.sampling) == (PLAIN, CALMER)
        assert {plain.engine, calmer.engine} == {"tiny"}
        assert plain.tokenizer == calmer.tokenizer == ENGINE_COUNTS
        assert await hall.start() == []

    during(story)


def test_r8_v1_is_what_it_was_fixed_to_be_before_anything_was_measured() -> None:
    fixed = replace(PLAIN, temperature=None, top_p=None)
    assert (PLAIN.temperature, PLAIN.top_p) == (0.7, 1.0)
    assert fixed == type(PLAIN)()


def test_r8_each_step_is_in_the_audit_as_a_consequence_and_not_as_by_hand(during) -> None:
    async def story(hall):
        await hall.add(TINY)
        async with hall.store.reading() as connection:
            rows = await notes.audit_rows(connection, action="alias.move")
        moved = {row.target: row.origin for row in rows if row.who == BY_HAND.who}
        assert moved == {"tiny": "command line"} | dict.fromkeys(EMBEDDED, "models")

    during(story)


def test_another_model_moves_nothing(during) -> None:
    async def story(hall):
        await hall.add(TINY)
        assert await hall.add(OTHER) == []
        assert await hall.start() == []
        assert await hall.means() == OF_TINY

    during(story)


def test_a_model_that_cannot_run_here_leaves_v1_where_it_answers(during) -> None:
    async def story(hall):
        assert await hall.add(TINY, can_run=False) == []
        assert await hall.means() == EMBEDDED

    during(story)


def test_r9_an_upstream_from_the_environment_comes_first(during) -> None:
    async def story(hall):
        await hall.start("llama")
        assert await hall.add(TINY) == []
        assert (await hall.means())["v1"] == "llama-upstream-1"
        said = await hall.start()
        assert said[0] == "v1 and keyhall-v1 now mean v1-tiny-1 (before: llama-upstream-1)."
        assert await hall.means() == OF_TINY
        await hall.start("llama")
        assert (await hall.means())["v1"] == "llama-upstream-1"

    during(story)


def test_r9_while_it_is_not_clear_which_upstream_is_meant_this_machine_answers(during) -> None:
    async def story(hall):
        await hall.add(TINY)
        await hall.start("llama", "qwen")
        assert await hall.means() == OF_TINY

    during(story)


def test_r8_what_was_moved_by_hand_stays(during) -> None:
    async def story(hall):
        await hall.move_by_hand("v1", "sandbox/slow")
        assert await hall.add(TINY) == [
            "keyhall-v1 now means v1-tiny-1 (before: v1-sandbox-1).",
            TOLD[1],
        ]
        assert await hall.start() == []
        assert await hall.means() == OF_TINY | {"v1": "sandbox/slow"}

    during(story)


def test_where_a_model_goes_the_next_takes_its_place_and_after_the_last_the_sandbox(
    during,
) -> None:
    async def story(hall):
        await hall.add(TINY)
        await hall.add(OTHER)
        said = await hall.remove("tiny")
        assert said[0] == "v1 and keyhall-v1 now mean v1-other-1 (before: v1-tiny-1)."
        assert set((await hall.means()).values()) == {"v1-other-1", "v1.1-other-1"}
        await hall.remove("other", use="v1")
        assert await hall.means() == EMBEDDED

    during(story)


def test_r8_a_model_that_comes_back_gets_records_of_its_own(during) -> None:
    async def story(hall):
        await hall.add(TINY)
        await hall.remove("tiny")
        await hall.add(TINY)
        assert set((await hall.means()).values()) == {"v1-tiny-2", "v1.1-tiny-2"}

    during(story)


def test_r8_another_file_under_the_same_name_is_another_model() -> None:
    """What the records say of a model must tell its files apart."""
    one = version_of(TINY, 1, "v1-tiny-1")
    other = version_of(replace(TINY, sha256="cd" * 32), 1, "v1-tiny-1")
    assert one.engine_model == "tiny@abababababab"
    assert one.fingerprint != other.fingerprint
