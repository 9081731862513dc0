"""R9: what OPENAI_API_KEY, OPENAI_BASE_URL and KEYHALL_UPSTREAM_MODEL make of a hall."""

import asyncio
import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from tiny_upstream import TinyUpstream

from keyhall.engines.upstream.engine import UpstreamEngine
from keyhall.flows.engines import use_upstream
from keyhall.flows.engines.aiming import EMBEDDED
from keyhall.flows.engines.use_upstream import CALMER, from_environment, tokenizer_of
from keyhall.policy import holds
from keyhall.policy.catalogue import Sampling
from keyhall.policy.secrets import Secret
from keyhall.ports.records import Actor
from keyhall.ports.store import StoreAway
from keyhall.stores import notes
from keyhall.stores.catalogue import aim, replace_standing
from keyhall.stores.sqlite import open_store

OWN_URL = "http://127.0.0.1:8484"
BY_HAND = Actor("operator:ada", "command line")


class NoModels:
    models = ()


class Starts:
    """Starts of one hall, with this and that in the environment."""

    def __init__(self, store, now_us):
        self.store = store
        self.now_us = now_us

    async def start(self, *models, wanted="", name="openai", lists=True):
        """One start with an upstream that lists these models; what it said."""
        self.now_us += 1
        async with TinyUpstream(*models, lists=lists) as upstream:
            engine = UpstreamEngine(name, upstream.url, "sk-1")
            try:
                offered = await use_upstream.offer(self.store, engine, wanted, self.now_us)
            finally:
                await engine.close()
        assert offered.is_complete
        return offered.notes

    async def start_without(self):
        self.now_us += 1
        return (await use_upstream.offer(self.store, None, "", self.now_us)).notes

    async def start_while_down(self, *, wanted="", name="openai"):
        self.now_us += 1
        engine = UpstreamEngine(name, "http://127.0.0.1:1/v1", "sk-1")
        try:
            offered = await use_upstream.offer(self.store, engine, wanted, self.now_us)
        finally:
            await engine.close()
        assert not offered.is_complete
        return offered.notes

    async def aliases(self):
        return dict((await self.store.load_catalogue()).aliases)

    async def version(self, name):
        return (await self.store.load_catalogue()).find(name)

    async def move_by_hand(self, alias, version):
        async with self.store.writing() as connection:
            await aim(connection, alias, version, BY_HAND, self.now_us)

    async def audit(self, action):
        async with self.store.reading() as connection:
            return await notes.audit_rows(connection, action=action)


@pytest.fixture
def starts(house):
    def run(story):
        async def inside():
            async with await open_store(house.database) as store:
                return await story(Starts(store, house.now_us))

        return asyncio.run(inside())

    return run


# --- Which models ---------------------------------------------------------------------------------


def test_r9_the_only_model_listed_stands_behind_v1_and_calmer_behind_v1_1(starts):
    async def story(hall):
        said = await hall.start("gpt-4o-mini")
        assert said == [
            "Engine openai offers under their own names: gpt-4o-mini.",
            "v1 and keyhall-v1 now mean gpt-4o-mini-openai-1 (before: v1-sandbox-1).",
            "v1.1 and keyhall-v1.1 now mean v1.1-openai-1 (before: v1.1-sandbox-1).",
        ]
        plain, calmer = await hall.version("v1"), await hall.version("v1.1")
        assert (plain.name, plain.engine_model, plain.sampling) == (
            "gpt-4o-mini-openai-1",
            "gpt-4o-mini",
            Sampling(),
        )
        assert (calmer.name, calmer.engine_model, calmer.sampling) == (
            "v1.1-openai-1",
            "gpt-4o-mini",
            Sampling(frequency_penalty=0.3, presence_penalty=0.2),
        )
        assert await hall.version("keyhall-v1") == plain == await hall.version("gpt-4o-mini")
        assert await hall.version("keyhall-v1.1") == calmer

    starts(story)


def test_r9_with_several_models_and_none_named_v1_stays_and_a_setting_is_told(starts):
    async def story(hall):
        said = await hall.start("gpt-4o", "gpt-4o-mini", "o3")
        assert said == [
            "Engine openai offers under their own names: gpt-4o, gpt-4o-mini, o3.",
            "Several could stand behind v1: set KEYHALL_UPSTREAM_MODEL to the one that v1 should "
            "call.",
        ]
        aliases = await hall.aliases()
        assert {name: aliases[name] for name in EMBEDDED} == EMBEDDED
        assert aliases["o3"] == "o3-openai-1"

    starts(story)


def test_r9_the_model_that_is_named_stands_behind_v1(starts):
    async def story(hall):
        await hall.start("gpt-4o", "gpt-4o-mini", wanted="gpt-4o")
        assert (await hall.version("v1")).engine_model == "gpt-4o"
        assert (await hall.version("v1.1")).engine_model == "gpt-4o"

    starts(story)


def test_r9_a_named_model_needs_no_list(starts):
    """Many servers have no list of models, and say 404."""

    async def story(hall):
        assert (await hall.start(lists=False))[-1].startswith("Engine openai lists no models: set")
        await hall.start(wanted="llama", lists=False, name="upstream")
        assert (await hall.version("v1")).name == "llama-upstream-1"
        assert (await hall.version("llama")).name == "llama-upstream-1"
        said = await hall.start("gpt-4o", wanted="gpt-5", name="upstream")
        assert "It does not list gpt-5, which KEYHALL_UPSTREAM_MODEL names." in said
        assert (await hall.version("v1")).engine_model == "gpt-5"

    starts(story)


def test_a_long_list_is_told_in_one_line(starts):
    async def story(hall):
        models = [f"m{number}" for number in range(30)]
        said = await hall.start(*models)
        assert said[0] == (
            "Engine openai offers under their own names: m0, m1, m2, m3, m4 and 25 more."
        )
        assert set(models) < set(await hall.aliases())

    starts(story)


def test_a_name_that_means_something_here_is_not_taken_by_an_upstreams_list(starts):
    """Another Keyhall lists `v1` too; a hostile upstream could list anything."""

    async def story(hall):
        said = await hall.start("v1", "v1.1", "v1-sandbox-1", "sandbox/slow", "llama")
        assert "These names keep their meaning: v1, v1.1, v1-sandbox-1, sandbox/slow." in said
        aliases = await hall.aliases()
        assert {name: aliases[name] for name in EMBEDDED} == EMBEDDED
        assert aliases["llama"] == "llama-openai-1"
        await hall.start("v1", "v1.1", wanted="v1")
        assert (await hall.version("v1")).name == "v1-openai-1"

    starts(story)


# --- Versions -------------------------------------------------------------------------------------


def test_r8_the_same_environment_finds_the_same_records_and_says_nothing_of_moves(starts):
    async def story(hall):
        await hall.start("gpt-4o")
        before = await hall.store.load_catalogue()
        changes = await hall.store.last_change()
        said = await hall.start("gpt-4o")
        assert said == ["Engine openai offers under their own names: gpt-4o."]
        assert await hall.store.load_catalogue() == before
        assert await hall.store.last_change() == changes

    starts(story)


def test_r8_another_model_makes_another_record_and_the_old_one_stays(starts):
    async def story(hall):
        await hall.start("gpt-4o")
        await hall.start("gpt-5")
        assert (await hall.version("v1.1")).name == "v1.1-openai-2"
        assert (await hall.version("v1.1-openai-1")).engine_model == "gpt-4o"
        await hall.start("gpt-4o")
        assert (await hall.version("v1.1")).name == "v1.1-openai-1"

    starts(story)


def test_r8_every_step_is_in_the_audit_as_the_environments(starts):
    async def story(hall):
        await hall.start("gpt-4o")
        moves = await hall.audit("alias.move")
        mine = [row for row in moves if row.origin == "environment"]
        assert {row.target for row in mine} == {"gpt-4o", *EMBEDDED}
        assert {row.at_us for row in mine} == {hall.now_us}
        made = [row for row in await hall.audit("version.add") if row.origin == "environment"]
        assert {row.target for row in made} == {"gpt-4o-openai-1", "v1.1-openai-1"}

    starts(story)


def test_a_retired_version_is_not_put_behind_v1_again(starts):
    async def story(hall):
        await hall.start("gpt-4o")
        await hall.start_without()
        retired = await hall.version("gpt-4o-openai-1")
        object.__setattr__(retired, "status", "retired")
        async with hall.store.writing() as connection:
            await replace_standing(connection, retired)
        said = await hall.start("gpt-4o")
        assert said[-1] == "gpt-4o-openai-1 or v1.1-openai-1 is retired: v1 stays where it is."
        assert (await hall.version("v1")).engine == "sandbox"

    starts(story)


@pytest.mark.parametrize(
    ("model", "tokenizer"),
    [
        ("gpt-4o", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-5.1", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("openai/gpt-4o", "o200k_base"),
        ("ft:gpt-4o-mini:house::abc", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("o3x", None),
        ("llama-3.1-8b", None),
        ("my-gpt-4o", None),
    ],
)
def test_r12_the_tokenizer_of_openais_families_is_known(model, tokenizer):
    assert tokenizer_of(model) == tokenizer


def test_r8_a_known_family_holds_its_count_and_a_margin_for_tools_only(starts):
    """Nobody publishes how OpenAI writes tools into a prompt; plain conversations count exactly."""

    async def story(hall):
        await hall.start("gpt-4o", "llama")
        known, other = await hall.version("gpt-4o"), await hall.version("llama")
        assert holds.input_tokens(known, 1000, 0) == 1000
        assert holds.input_tokens(known, 1000, 2) == 1064
        assert holds.input_tokens(other, 1000, 2) == 1250 + 64
        assert known.tokenizer == "o200k_base"

    starts(story)


# --- Later starts ---------------------------------------------------------------------------------


def test_r9_without_the_environment_the_aliases_go_back_and_it_is_said(starts):
    async def story(hall):
        await hall.start("gpt-4o")
        said = await hall.start_without()
        assert said == [
            "v1 and keyhall-v1 now mean v1-sandbox-1 (before: gpt-4o-openai-1).",
            "v1.1 and keyhall-v1.1 now mean v1.1-sandbox-1 (before: v1.1-openai-1).",
        ]
        aliases = await hall.aliases()
        assert {name: aliases[name] for name in EMBEDDED} == EMBEDDED
        rows = await hall.audit("alias.move")
        assert {row.target for row in rows[:4]} == set(EMBEDDED)
        assert await hall.start_without() == []

    starts(story)


def test_r9_when_the_choice_is_no_longer_clear_v1_goes_back_too(starts):
    async def story(hall):
        await hall.start("gpt-4o")
        said = await hall.start("gpt-4o", "gpt-5")
        assert "v1 and keyhall-v1 now mean v1-sandbox-1 (before: gpt-4o-openai-1)." in said

    starts(story)


def test_r9_another_engine_of_the_environment_takes_the_names_over(starts):
    async def story(hall):
        await hall.start("gpt-4o")
        await hall.start("gpt-4o", name="upstream")
        assert (await hall.version("v1")).name == "gpt-4o-upstream-1"
        assert (await hall.version("gpt-4o")).name == "gpt-4o-upstream-1"

    starts(story)


def test_r8_an_alias_that_was_moved_by_hand_stays(starts):
    async def story(hall):
        await hall.start("gpt-4o", "gpt-5")
        await hall.move_by_hand("v1", "gpt-5-openai-1")
        await hall.move_by_hand("gpt-4o", "gpt-5-openai-1")
        assert await hall.start("gpt-4o", "gpt-5") == [
            "Engine openai offers under their own names: gpt-4o, gpt-5.",
            "These names keep their meaning: gpt-4o.",
            "Several could stand behind v1: set KEYHALL_UPSTREAM_MODEL to the one that v1 should "
            "call.",
            "v1 keeps meaning gpt-5-openai-1, where it was moved by hand.",
        ]
        await hall.start("gpt-4o")
        assert (await hall.version("v1")).name == "gpt-5-openai-1"
        assert (await hall.version("v1.1")).name == "v1.1-openai-1"
        await hall.start_without()
        assert (await hall.version("v1")).name == "gpt-5-openai-1"

    starts(story)


def test_r9_a_model_that_is_named_moves_even_what_was_moved_by_hand(starts):
    async def story(hall):
        await hall.start("gpt-4o", "gpt-5")
        await hall.move_by_hand("v1", "gpt-5-openai-1")
        await hall.start("gpt-4o", "gpt-5", wanted="gpt-4o")
        assert (await hall.version("v1")).name == "gpt-4o-openai-1"

    starts(story)


# --- Down -----------------------------------------------------------------------------------------


def test_r9_an_upstream_that_is_down_changes_nothing(starts):
    async def story(hall):
        await hall.start("gpt-4o")
        before = await hall.aliases()
        (said,) = await hall.start_while_down()
        assert said.startswith(
            "Engine openai does not list its models yet and is asked again every 15 s: "
        )
        assert await hall.aliases() == before

    starts(story)


def test_r9_a_named_model_is_aimed_at_while_the_upstream_is_down(starts):
    async def story(hall):
        said = await hall.start_while_down(wanted="gpt-4o")
        assert len(said) == 3
        assert (await hall.version("v1")).name == "gpt-4o-openai-1"

    starts(story)


def test_an_upstream_that_does_not_answer_holds_a_start_up_for_a_moment_only(starts, monkeypatch):
    monkeypatch.setattr(use_upstream, "LIST_SECONDS", 0.05)

    class Silent:
        name = "openai"

        async def list_models(self):
            await asyncio.Event().wait()

    async def story(hall):
        offered = await use_upstream.offer(hall.store, Silent(), "", hall.now_us)
        assert not offered.is_complete
        assert "no answer within 0.05 s" in offered.notes[0]

    starts(story)


def test_r9_an_upstream_is_offered_once_it_lists_its_models(starts, caplog):
    async def story(hall):
        waited = []
        tiny = TinyUpstream("gpt-4o")
        async with tiny:
            pass  # Its port is known, and nobody listens there.
        engine = UpstreamEngine("openai", tiny.url, "sk-1")

        async def wait(seconds):
            waited.append(seconds)
            if len(waited) == 3:
                await tiny.__aenter__()

        now = iter(range(hall.now_us, hall.now_us + 100)).__next__
        await use_upstream.keep_offering(hall.store, NoModels, engine, "", now, wait)
        await engine.close()
        await tiny.__aexit__()
        assert waited == [use_upstream.RETRY_SECONDS] * 3
        assert (await hall.version("v1")).name == "gpt-4o-openai-1"

    with caplog.at_level(logging.INFO, "keyhall"):
        starts(story)
    (record,) = [record for record in caplog.records if record.msg == "engine_offered"]
    assert record.args["notes"][0] == "Engine openai offers under their own names: gpt-4o."


def test_a_store_that_is_away_only_delays_the_offer(starts, monkeypatch):
    async def story(hall):
        offers = []

        async def offer(_store, engine, _wanted, _now_us, _models):
            offers.append(engine.name)
            if len(offers) == 1:
                raise StoreAway("locked")
            return use_upstream.Offered()

        async def wait(_seconds):
            pass

        monkeypatch.setattr(use_upstream, "offer", offer)
        engine = UpstreamEngine("openai", "http://127.0.0.1:1/v1", "sk-1")
        await use_upstream.keep_offering(hall.store, NoModels, engine, "", lambda: 1, wait)
        await engine.close()
        assert offers == ["openai"] * 2

    starts(story)


# --- Which engine ---------------------------------------------------------------------------------


def given(key="sk-1", url="https://api.openai.com/v1", own=(("127.0.0.1", 8484),)):
    notes = []
    found = from_environment(Secret(key) if key else None, url, OWN_URL, own, notes)
    return found, notes


def test_r9_openai_itself_is_called_openai_and_any_other_upstream():
    assert given()[0].name == "openai"
    assert given(url="http://10.0.0.5:8000/v1")[0].name == "upstream"
    assert given(key=None) == (None, [])


def test_r9_a_key_of_ours_makes_no_engine():
    """A client on the same machine uses the same variables."""
    found, notes = given(key="sk-kh_live_abc")
    assert found is None
    assert notes == ["OPENAI_API_KEY is a key of Keyhall's own and makes no upstream engine."]


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8484/v1", ()),
        ("http://localhost:8484/v1", ()),
        ("http://[::1]:8484/v1", (("::", 8484),)),
        ("http://0.0.0.0:9000", (("0.0.0.0", 9000),)),
        ("http://10.0.0.1:80/v1", (("10.0.0.1", 80),)),
        ("http://10.0.0.1", (("10.0.0.1", 80),)),
        ("http://127.0.0.7:9000/v1", (("0.0.0.0", 9000),)),
        ("http://[::ffff:127.0.0.1]:9000/v1", (("127.0.0.1", 9000),)),
    ],
)
def test_a23_an_address_of_ours_makes_no_engine(url, own):
    """Attack 23: a hall that calls itself would do so for ever."""
    found, notes = given(url=url, own=own)
    assert found is None
    assert notes == ["OPENAI_BASE_URL is this server's own address and makes no upstream engine."]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8485/v1", "http://10.0.0.1:8484", "http://x:y"])
def test_any_other_address_is_left_to_whoever_opens_it(url):
    assert given(url=url)[0].url == url


def test_calmer_is_what_r9_says():
    assert Sampling(frequency_penalty=0.3, presence_penalty=0.2) == CALMER
