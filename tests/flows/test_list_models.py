"""`GET /v1/models`: the names a key may use, and until when (R8, R19)."""

import pytest

from keyhall import errors

DAY_US = 86_400_000_000


def names(answered):
    return [card["id"] for card in answered.json["data"]]


def test_aliases_come_first_then_records_and_no_scripts_for_a_live_key(on_stage):
    """R19: live keys may call the scripts; they are listed for test keys only."""

    async def main(stage):
        listed = await stage.models(await stage.key())
        assert names(listed) == [
            "keyhall-v1",
            "keyhall-v1.1",
            "v1",
            "v1.1",
            "own-1",
            "up-1",
            "v1-sandbox-1",
            "v1.1-sandbox-1",
        ]
        for_tests = await stage.models(await stage.key(mode="test"))
        scripts = [name for name in names(for_tests) if name.startswith("sandbox/")]
        assert len(scripts) == 7
        assert [name for name in names(for_tests) if name not in scripts] == names(listed)
        assert for_tests.headers["x-keyhall-mode"] == "test"

    on_stage(main)


def test_a_card_says_what_openais_says(on_stage):
    async def main(stage):
        listed = await stage.models(await stage.key())
        assert listed.json["object"] == "list"
        card = next(card for card in listed.json["data"] if card["id"] == "v1")
        assert card == {
            "id": "v1",
            "object": "model",
            "created": stage.house.now_us // 1_000_000,
            "owned_by": "keyhall",
            "shutdown_date": None,
        }

    on_stage(main)


def test_r8_the_day_on_which_a_version_ends_is_told_until_it_has_come(on_stage):
    async def main(stage):
        key = await stage.key()
        stage.version("up-1", retires_at_us=stage.clock.now_us() + DAY_US, replacement="own-1")
        cards = {card["id"]: card for card in (await stage.models(key)).json["data"]}
        assert cards["up-1"]["shutdown_date"] == "2027-01-16"
        shown = await stage.models(key, b"/v1/models/up-1")
        assert shown.json["shutdown_date"] == "2027-01-16"
        stage.clock.advance(86_400)
        assert "up-1" not in names(await stage.models(key))
        refused = await stage.models(key, b"/v1/models/up-1")
        assert refused.refusal.problem is errors.MODEL_RETIRED
        assert "Use `own-1` instead." in str(refused.refusal)

    on_stage(main)


def test_a_model_whose_engine_is_not_there_is_not_offered(on_stage):
    """Requests for it are refused with 503, and so is a look at it; a test key is answered."""

    async def main(stage):
        stage.version("lost-1", engine="gone")
        live, test = await stage.key(), await stage.key(mode="test")
        assert "lost-1" not in names(await stage.models(live))
        shown = await stage.models(live, b"/v1/models/lost-1")
        assert shown.refusal.problem is errors.ENGINE_BUSY
        assert (await stage.ask(live, model="lost-1")).refusal.problem is errors.ENGINE_BUSY
        assert "lost-1" in names(await stage.models(test))
        assert (await stage.models(test, b"/v1/models/lost-1")).json["id"] == "lost-1"

    on_stage(main)


def test_r13_only_what_the_key_and_its_project_may_name_is_listed(on_stage):
    async def main(stage):
        key = await stage.key(models=["v1*", "up-1"])
        await stage.change_project(models=("v1", "v1.1", "keyhall-v1"))
        assert names(await stage.models(key)) == ["v1", "v1.1"]
        for name in (b"up-1", b"keyhall-v1", b"nothing"):
            hidden = await stage.models(key, b"/v1/models/" + name)
            assert hidden.refusal.problem is errors.MODEL_UNKNOWN, "as if it did not exist"

    on_stage(main)


def test_r13_a_key_without_the_endpoint_is_refused(on_stage):
    async def main(stage):
        key = await stage.key(endpoints=["chat"])
        for path in (b"/v1/models", b"/v1/models/v1"):
            refused = await stage.models(key, path)
            assert refused.refusal.problem is errors.SCOPE_MISSING
            assert "endpoint:models" in str(refused.refusal)
        assert (await stage.models(None)).refusal.problem is errors.NO_KEY

    on_stage(main)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"v1", "v1"),
        (b"sandbox/slow", "sandbox/slow"),
        (b"sandbox%2Fslow", "sandbox/slow"),
        (b"sandbox%2fslow", "sandbox/slow"),
        (b"%76%31", "v1"),
    ],
)
def test_a_model_is_found_however_its_name_is_written_in_a_path(on_stage, path, name):
    """The official client writes a slash inside a name as `%2F`."""

    async def main(stage):
        for mode in ("live", "test"):
            shown = await stage.models(await stage.key(mode=mode), b"/v1/models/" + path)
            assert shown.json["id"] == name

    on_stage(main)


@pytest.mark.parametrize("path", [b"", b"%", b"%zz", b"%ff%fe", b"v1/", b"v1%00", b"a" * 9000])
def test_what_is_no_name_is_no_model(on_stage, path):
    async def main(stage):
        refused = await stage.models(await stage.key(), b"/v1/models/" + path)
        assert refused.refusal.problem is errors.MODEL_UNKNOWN
        assert len(str(refused.refusal)) < 400

    on_stage(main)


def test_a_head_request_has_the_headers_and_no_body(on_stage):
    async def main(stage):
        key = await stage.key()
        for path in (b"/v1/models", b"/v1/models/v1"):
            headed = await stage.models(key, path, b"HEAD")
            got = await stage.models(key, path)
            assert headed.status == got.status == 200
            assert headed.headers == got.headers
            assert headed.whole == b""

    on_stage(main)


def test_looking_at_models_counts_in_no_window(on_stage):
    async def main(stage):
        key = await stage.key(tier="tiny")
        for _ in range(5):
            await stage.models(key)
        answered = await stage.ask(key, max_tokens=1)
        assert answered.headers["x-ratelimit-remaining-requests"] == "2"
        assert len(await stage.usage()) == 1

    on_stage(main)
