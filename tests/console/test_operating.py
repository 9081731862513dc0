"""The pages of whoever runs the hall: shown with data, each act done and audited."""

import asyncio
import json
from contextlib import asynccontextmanager

import msgspec
import pytest
from console_data import done, elsewhere, facts, used
from hall_inside import TESTER
from patience import PATIENCE_SECONDS
from tiny_upstream import TinyUpstream

from keyhall.config import Upstream
from keyhall.config.alerts import Alerts
from keyhall.flows.models import manage as models
from keyhall.policy.limits import Limits
from keyhall.policy.tiers import Tier
from keyhall.ports.records import ModelRecord
from keyhall.stores import catalogue as rows
from keyhall.stores import keys, organizations
from keyhall.stores.accounts.tables import asks

DAY_US = 86_400_000_000


async def until(condition):
    """What a background task does in a moment."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0)


# --- Organizations --------------------------------------------------------------------------------


def test_organizations_are_found_by_name_id_and_a_members_address(hall):
    async def story(hall):
        _, organization_id, _ = await elsewhere(hall)
        fresh = await hall.server.make_key()
        await used(hall, fresh.key)
        browser = hall.browser
        await browser.visit("/organizations")
        assert "Default organization" in browser.text
        assert "Eve" in browser.text
        for search in ("eve", organization_id, "eve@else"):
            await browser.visit(f"/organizations?search={search}")
            (row,) = browser.page.select("tbody tr")
            assert organization_id in row.get_text()
        await browser.visit("/organizations?state=suspended")
        assert "No organization is like that" in browser.text

    hall(story)


def test_an_organization_is_limited_billed_suspended_resumed_and_moved_in_time(hall):
    async def story(hall):
        _, organization_id, _ = await elsewhere(hall)
        browser, path = hall.browser, f"/organizations/{organization_id}"
        await browser.visit(path)
        assert facts(browser)["Members"] == "1"
        await browser.send(f"{path}/limits", tier="roomy", requests_per_minute="500")
        await browser.send(f"{path}/billing", at="")
        await browser.send(f"{path}/zone", zone="Europe/Berlin")
        await browser.send(f"{path}/suspend")
        assert "suspended" in browser.title
        await browser.send(f"{path}/resume")
        async with hall.store.reading() as connection:
            (place,) = await organizations.find_organization(connection, organization_id)
        assert (place.tier, place.limits) == ("roomy", Limits(500))
        assert (place.time_zone, place.suspended_at_us) == ("Europe/Berlin", None)
        assert place.billing_activated_at_us == hall.now_us
        for act in ("limits", "activate_billing", "zone", "suspend", "resume"):
            (row,) = await done(hall, f"organization.{act}")
            assert row.target == row.organization_id == organization_id
        assert await browser.send(f"{path}/billing", at="") == 400
        assert browser.page.find(id="h-at")["role"] == "alert"
        assert await browser.send(f"{path}/zone", zone="Berlin") == 400
        assert "Europe/Berlin" in browser.page.find(id="h-zone").get_text()
        assert await browser.send(f"{path}/limits", tier="gold") == 400
        assert await browser.visit("/organizations/org_000000000000") == 404
        await browser.send("/switch", organization=organization_id)
        await browser.visit("/projects")
        assert "looking in" in browser.text

    hall(story)


# --- Asks -----------------------------------------------------------------------------------------


async def asked(hall, organization_id, account_id, wanted, key_id=None):
    """An open ask, as a holder's page writes it; its number."""
    async with hall.store.writing() as connection:
        made = await connection.execute(
            asks.insert().values(
                organization_id=organization_id,
                account_id=account_id,
                key_id=key_id,
                wanted=msgspec.json.encode(wanted).decode(),
                why="The course begins on Monday.",
                state="open",
                asked_at_us=hall.now_us,
            )
        )
    return made.inserted_primary_key[0]


async def owner_of(hall, organization_id):
    async with hall.store.reading() as connection:
        return await organizations.owner(connection, organization_id)


def test_an_ask_is_granted_with_limits_that_hold_and_only_once(hall):
    async def story(hall):
        place = await hall.organization_id()
        fresh = await hall.server.make_key("class")
        account = await owner_of(hall, place)
        wanted = {"requests_per_minute": 300, "tokens_per_minute": 90_000}
        number = await asked(hall, place, account, wanted, fresh.key.id)
        browser, path = hall.browser, f"/organizations/asks/{number}/grant"
        await browser.visit("/organizations")
        assert browser.page.find("a", href="/organizations/asks").find(class_="badge")
        await browser.visit("/organizations/asks")
        assert "The course begins on Monday." in browser.text
        assert browser.page.find("input", {"name": "tokens_per_minute"})["value"] == "90000"
        assert await browser.send(path, requests_per_minute="300", tier="free-trial") == 400
        assert "would not hold" in browser.text
        given = {"requests_per_minute": "300", "tokens_per_minute": "90,000", "tier": "roomy"}
        assert await browser.send(path, **given, said="Good luck") == 200
        async with hall.store.reading() as connection:
            key = await keys.find(connection, fresh.key.id)
        assert key.limits == Limits(300, 90_000)
        (row,) = await done(hall, "ask.grant")
        assert (row.target, row.organization_id) == (fresh.key.id, place)
        assert await browser.send(path, **given) == 400
        assert "answered already" in browser.text
        await browser.visit("/organizations/asks?state=granted")
        assert "Granted by Ada" in browser.text
        assert "Good luck" in browser.text

    hall(story)


def test_an_ask_for_the_organization_is_granted_and_one_is_declined_with_a_sentence(hall):
    async def story(hall):
        place = await hall.organization_id()
        account = await owner_of(hall, place)
        first = await asked(hall, place, account, {"in_flight": 4})
        second = await asked(hall, place, account, "no limits at all")
        browser = hall.browser
        await browser.visit("/organizations/asks")
        await browser.send(f"/organizations/asks/{first}/grant", in_flight="4", tier="")
        async with hall.store.reading() as connection:
            (found,) = await organizations.find_organization(connection, place)
        assert found.limits == Limits(in_flight=4)
        path = f"/organizations/asks/{second}/decline"
        assert await browser.send(path, said=" ") == 400
        assert browser.page.find(id=f"h-no-{second}") is not None
        assert await browser.send(path, said="Not before January.") == 200
        assert "Nobody waits" in browser.text
        await browser.visit("/organizations/asks?state=declined")
        assert "Not before January." in browser.text
        assert len(await done(hall, "ask.decline")) == 1
        assert await browser.send("/organizations/asks/99/decline", said="x") == 404
        assert await browser.send("/organizations/asks/x/grant") == 404

    hall(story)


# --- Tiers and settings ---------------------------------------------------------------------------


def test_tiers_show_their_steps_their_use_and_the_toml_of_own_ones(hall):
    async def story(hall):
        await hall.server.make_key()
        await hall.browser.visit("/tiers")
        text = hall.browser.text.replace("\u2009", " ")
        assert "3 500" in text
        assert "48 h or longer" in text
        assert "[tiers.roomy]" in hall.browser.page.find(id="own").get_text()
        (row,) = (each for each in hall.browser.page.select("tr") if "roomy" in each.get_text())
        assert [each.get_text() for each in row.find_all("td")[-2:]] == ["1", "0"]
        assert "in_flight = 3" in hall.browser.page.find(id="own").get_text()

    hall(story, tiers={"course": Tier("course", Limits(in_flight=3), 512)})


def test_settings_show_value_source_and_meaning_and_no_secret(hall):
    async def story(hall):
        await hall.browser.visit("/settings")
        assert "Least serious level." in hall.browser.text
        assert "hush-hush" not in hall.browser.response.text
        assert "set, not shown" in hall.browser.text
        await hall.browser.visit("/settings?search=least+serious")
        assert len(hall.browser.page.select("tbody tr")) == 1
        await hall.browser.visit("/settings?only=given&search=nothing-like-it")
        assert "No setting is like that" in hall.browser.text

    hall(story, alerts=Alerts(webhook_url="https://a.example/", webhook_secret="hush-hush-123456"))


# --- Models ---------------------------------------------------------------------------------------

NEW = {
    "name": "house-1",
    "engine": "sandbox",
    "engine_model": "sandbox/markov",
    "max_input_tokens": "8,192",
    "max_output_tokens": "1,024",
    "tokenizer": "o200k_base",
    "count": "exact",
    "temperature": "0.7",
    "dry_allowed_length": "3",
    "min_p": "0.05",
    "price_in": "0.15",
    "price_out": "0.60",
    "on_disconnect": "drain",
    "owned_by": "us",
}


def test_a_version_is_added_priced_deprecated_and_retired(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/models/add")
        assert await browser.send("/models/add", **NEW) == 200
        assert browser.title.startswith("house-1")
        assert facts(browser)["Price in / out"].startswith("0.15 / 0.60")
        said = "temperature 0.7, min_p 0.05, dry_allowed_length 3"
        assert facts(browser)["Sampling"] == said
        await browser.send("/models/price", version="house-1", price_in="0.20", price_out="0.80")
        assert len(browser.page.find("h2", string="Prices").find_next("ul").find_all("li")) == 2
        given = {"version": "house-1", "replacement": "v1-sandbox-1"}
        await browser.send("/models/deprecate", retires="2027-06-01", **given)
        assert "deprecated" in browser.title
        assert facts(browser)["Retires"] == "2027-06-01 00:00 UTC"
        assert await browser.send("/models/deprecate", retires="2020-01-01", **given) == 400
        await browser.send("/models/retire", **given)
        assert "retired" in browser.title
        async with hall.store.reading() as connection:
            version = await rows.find_version(connection, "house-1")
        assert (version.sampling.temperature, version.max_input_tokens) == (0.7, 8192)
        assert (version.count, version.on_disconnect, version.owned_by) == ("exact", "drain", "us")
        for act in ("add", "price", "deprecate", "retire"):
            assert (await done(hall, f"version.{act}"))[0].target == "house-1"
        assert await browser.visit("/models/version/none-like-it") == 404
        assert await browser.send("/models/retire", version="none-like-it") == 404

    hall(story)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"price_out": ""}, "price_out"),
        ({"price_in": "0.1234567"}, "price_in"),
        ({"max_input_tokens": "-1"}, "max_input_tokens"),
        ({"engine_model": " "}, "engine_model"),
        ({"dry_allowed_length": "1.5"}, "dry_allowed_length"),
        ({"repetition_penalty": "3"}, "repetition_penalty"),
    ],
)
def test_a_mistake_in_a_new_version_stands_beside_its_field(hall, fields, field):
    async def story(hall):
        await hall.browser.visit("/models/add")
        assert await hall.browser.send("/models/add", **NEW | fields) == 400
        assert hall.browser.page.find(id=f"h-{field}")["role"] == "alert"
        assert hall.browser.page.find("input", {"name": "name"})["value"] == "house-1"

    hall(story)


def test_an_alias_shows_what_a_move_changes_and_for_whom_before_it_moves(hall):
    async def story(hall):
        fresh = await hall.server.make_key("busy")
        await used(hall, fresh.key)
        browser = hall.browser
        await browser.visit("/models/add")
        await browser.send("/models/add", **NEW)
        await browser.visit("/models/alias/v1")
        assert "busy" in browser.text
        await browser.visit("/models/alias/v1?to=house-1")
        changed = {
            row.find("th").get_text(): row
            for row in browser.page.select(".confirm tbody tr:has(> th)")
        }
        assert "8,192" in changed["Most tokens in"].find("ins").get_text()
        assert "Counted with" not in changed  # It is the same.
        assert "busy" in browser.page.select_one(".confirm").get_text()
        await browser.send("/models/move", alias="v1", to="house-1")
        assert "house-1" in browser.page.find("h1").find_next("p").get_text()
        (row, *_) = await done(hall, "alias.move")
        assert json.loads(row.after)["version"] == "house-1"
        history = browser.page.find("h2", string="History").find_next("table").get_text(" ")
        assert "Ada" in history

    hall(story)


def test_fallbacks_are_set_and_a_new_alias_is_looked_at_before_it_is_made(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/models/add")
        await browser.send("/models/add", **NEW)
        await browser.visit("/models/alias?alias=team/house&to=house-1")
        assert "Make team/house mean house-1?" in browser.text
        await browser.send("/models/move", alias="team/house", to="house-1")
        assert browser.title == "team/house"
        given = {"alias": "team/house"}
        await browser.send("/models/fallbacks", fallbacks="v1-sandbox-1", **given)
        assert browser.page.find("input", {"name": "fallbacks"})["value"] == "v1-sandbox-1"
        assert await browser.send("/models/fallbacks", fallbacks="none-like-it", **given) == 400
        assert browser.page.find(id="h-fallbacks")["role"] == "alert"
        assert await browser.send("/models/fallbacks", alias="x", fallbacks="") == 404
        assert await browser.send("/models/move", alias="house-1", to="v1-sandbox-1") == 400
        assert await browser.visit("/models/alias/none-like-it") == 404
        assert len(await done(hall, "alias.fallback")) == 1

    hall(story)


# --- Engines --------------------------------------------------------------------------------------


@asynccontextmanager
async def with_engine(hall, name="house"):
    async with TinyUpstream("llama") as upstream:
        await hall.browser.visit("/engines")
        await hall.browser.send("/engines", name=name, url=upstream.url, key_env="")
        await until(lambda: name in hall.server.hall.engines)
        yield upstream


def test_an_engine_is_added_tested_with_timings_drained_resumed_and_removed(hall):
    async def story(hall):
        async with with_engine(hall) as upstream:
            browser, server = hall.browser, hall.server.hall
            await browser.visit("/engines")
            assert upstream.url in browser.text
            await browser.send("/engines/house/test", model="llama")
            assert "house answered" in browser.text
            assert facts(browser)["Connect"].endswith("ms")
            assert facts(browser)["Whole answer"].endswith("ms")
            (asked,) = upstream.asked
            assert (asked["model"], asked["max_tokens"]) == ("llama", 16)
            await browser.send("/engines/house/drain")
            await until(lambda: server.breakers.is_drained(server.engines["house"]))
            await browser.visit("/engines")
            assert "Drained: no new requests go to it" in browser.text
            await browser.send("/engines/house/resume")
            await until(lambda: not server.breakers)
            await browser.send("/engines/house/remove")
            await until(lambda: "house" not in server.engines)
            for act in ("add", "test", "drain", "resume", "remove"):
                (row,) = await done(hall, f"engine.{act}")
                assert (row.target, row.organization_id) == ("house", None)

    hall(story, upstream=Upstream())


def test_a_test_by_htmx_answers_with_the_result_alone(hall):
    async def story(hall):
        await hall.browser.visit("/engines")
        token = hall.browser.page.find("input", {"name": "csrf"})["value"]
        headers = {"origin": hall.server.url, "hx-request": "true"}
        answer = await hall.browser.client.post(
            "/engines/sandbox/test",
            data={"csrf": token, "model": "sandbox/markov"},
            headers=headers,
        )
        assert answer.status_code == 200
        assert "sandbox answered" in answer.text
        assert "<html" not in answer.text

    hall(story)


def test_a_test_of_an_engine_that_is_away_says_what_to_do(hall):
    async def story(hall):
        async with with_engine(hall):
            pass
        await hall.browser.send("/engines/house/test", model="llama")
        assert "house did not answer" in hall.browser.text
        assert "Is it running" in hall.browser.text
        assert await hall.browser.send("/engines/none/test", model="x") == 404
        assert await hall.browser.send("/engines/none/remove") == 404
        assert await hall.browser.send("/engines/sandbox/drain") == 400

    hall(story)


def test_a_model_is_among_the_engines_with_its_file_and_is_removed_elsewhere(hall):
    async def story(hall):
        model = ModelRecord(
            *("tiny", "/models/tiny.gguf", "ab" * 32, 1, "llama", 1, 2048, True),
            *(4, 2048, None, False, hall.server.clock.now_us()),
        )
        store, now_us = hall.server.house.store, hall.server.clock.now_us()
        await models.add(store, model, actor=TESTER, now_us=now_us)
        await hall.browser.visit("/engines")
        assert facts(hall.browser)["File"] == "/models/tiny.gguf"
        assert "tiny-1" in hall.browser.text
        assert await hall.browser.send("/engines/tiny/remove") == 400
        assert "keyhall models remove tiny" in hall.browser.text

    hall(story)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "No!", "url": "http://10.0.0.5/v1"}, "name"),
        ({"name": "up", "url": "ftp://10.0.0.5/v1"}, "url"),
        ({"name": "up", "url": "http://10.0.0.5/v1", "key_env": "sk-secret"}, "key_env"),
    ],
)
def test_a_mistake_in_a_new_engine_stands_beside_its_field(hall, fields, field):
    async def story(hall):
        await hall.browser.visit("/engines")
        assert await hall.browser.send("/engines", **fields) == 400
        assert hall.browser.page.find(id=f"h-{field}")["role"] == "alert"

    hall(story)
