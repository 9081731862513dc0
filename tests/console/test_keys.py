"""Keys in the console: who sees them, shown once, changed, rotated and taken back, revoked."""

import re

from browsing import Browser

from keyhall.policy import keys as form
from keyhall.stores.holders import keys as listed
from keyhall.stores.tables import keys as table

KEY = re.compile(r"sk-kh_(?:live|test|admin)_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
FIELDS = {
    "mode": "live",
    "tier": "free-trial",
    "expires": "never",
    "endpoints": ["chat", "models", "moderations"],
}


async def create(browser: Browser, name: str, **more) -> str:
    """A key's text, from the one page that has it."""
    await browser.visit("/keys/new")
    project = browser.page.find("select", {"name": "project"}).find("option")["value"]
    given = {"name": name, "project": project, **FIELDS, **more}
    assert await browser.send("/keys/new", **given) == 200, browser.text
    return browser.page.find(id="secret").get_text(strip=True)


def id_of(text: str) -> str:
    return form.parse(text).id


async def noticed(hall) -> None:
    """What was changed in the store is known to the running server."""
    for caller in list(hall.server.hall.callers.known.values()):
        await hall.server.hall.callers.key_changed(caller.grant.key_id)


async def ask(hall, text: str, content: str = "Hello") -> object:
    body = {"model": "v1", "messages": [{"role": "user", "content": content}], "max_tokens": 20}
    client = hall.browser.client
    return await client.post(
        "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {text}"}
    )


def test_a_key_is_shown_once_in_an_answer_that_nobody_keeps_and_works(hall, caplog):
    async def story(hall):
        browser = hall.browser
        text = await create(browser, "laptop")
        assert KEY.fullmatch(text)
        assert browser.response.headers["cache-control"] == "no-store"
        assert text not in str(browser.response.url)
        assert f"OPENAI_API_KEY={text}" in browser.page.find(id="s-env").get_text()
        assert (await ask(hall, text)).status_code == 200
        for path in ("/", "/keys", f"/keys/{id_of(text)}", "/limits", "/keys/export.csv",
                     f"/keys/{id_of(text)}/rotate", f"/keys/{id_of(text)}/revoke",
                     "/first-run"):  # fmt: skip
            assert await browser.visit(path) == 200, path
            assert not KEY.search(browser.response.text), path
        assert not KEY.search(caplog.text)

    hall(story)


def test_what_is_wrong_with_a_new_key_stands_beside_its_field_and_nothing_is_made(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/keys/new")
        project = browser.page.find("select", {"name": "project"}).find("option")["value"]
        wrong = {"name": " ", "project": project, **FIELDS, "networks": "10.0.0.1/8",
                 "tokens": "many", "expires": "date", "expires_on": "2001-01-01"}  # fmt: skip
        assert await browser.send("/keys/new", **wrong) == 400
        for said in ("The name is empty", "did you mean 10.0.0.0/8", "not a whole number",
                     "has passed"):  # fmt: skip
            assert said in browser.text
        await browser.visit("/keys?state=all")
        assert "1 key found" in browser.text  # The first start's.

    hall(story)


def test_the_summary_says_what_is_chosen(hall):
    async def story(hall):
        browser = hall.browser
        await browser.visit("/keys/new?template=ci")
        assert "20 requests a minute" in browser.text.replace("\N{THIN SPACE}", " ")
        project = browser.page.find("select", {"name": "project"}).find("option")["value"]
        chosen = FIELDS | {"mode": "test", "endpoints": ["chat"], "models": ["v1"], "name": ""}
        assert await browser.send("/keys/new/summary", project=project, **chosen) == 200
        assert "Calls only v1, and cannot list them." in browser.text
        assert "A test key" in browser.text
        assert "<html" not in browser.response.text

    hall(story)


def test_a_member_sees_and_changes_own_keys_only(hall):
    async def story(hall):
        theirs = id_of(await create(hall.browser, "ada's"))
        bo = await hall.invited("member")
        own = id_of(await create(bo, "bo's"))
        await bo.visit("/keys?state=all")
        assert "bo's" in bo.text
        assert "ada's" not in bo.text
        await bo.visit("/keys/export.csv?state=all")
        assert own in bo.response.text
        assert theirs not in bo.response.text
        for path in ("", "/rotate", "/revoke", "/still-used"):
            assert await bo.visit(f"/keys/{theirs}{path}") == 404
        await bo.visit("/keys/new")
        for act in ("name", "pause", "resume", "limits", "scopes", "expiry", "rotate", "finish",
                    "unrotate", "revoke"):  # fmt: skip
            assert await bo.send(f"/keys/{theirs}/{act}", name="ada's", grace="0") == 404, act
            await bo.visit("/keys/new")
        assert await bo.send("/keys/revoke", key=[own, theirs], confirmed="yes", number="2") == 404
        await hall.browser.visit("/keys")
        assert "3 keys" in hall.browser.text  # The first start's is one.
        assert "bo's" in hall.browser.text

    hall(story)


def test_another_organization_s_key_answers_as_one_that_never_was(hall):
    async def story(hall):
        theirs = id_of(await create(hall.browser, "ada's"))
        eve = await hall.signed_up("Eve")
        said = []
        for key_id in (theirs, "key_AAAAAAAAAAAA"):
            assert await eve.visit(f"/keys/{key_id}") == 404
            said.append(eve.text.replace(key_id, ""))
        assert said[0] == said[1]
        await eve.visit("/keys?state=all")
        assert "ada's" not in eve.text
        await eve.visit("/keys/new")
        project = (await hall.store.load_tiers()) and await _project(hall)
        given = {"name": "stolen", "project": project, **FIELDS}
        assert await eve.send("/keys/new", **given) == 400
        assert "There is no such project" in eve.text

    hall(story)


async def _project(hall) -> str:
    from keyhall.stores import organizations

    async with hall.store.reading() as connection:
        return (await organizations.default_project(connection)).id


def test_who_does_not_operate_gets_only_the_tiers_and_kinds_that_are_theirs(hall):
    async def story(hall):
        eve = await hall.signed_up("Eve")
        await eve.visit("/keys/new")
        assert "pay-as-you-go" not in eve.text
        assert "Admin:" not in eve.text
        project = eve.page.find("select", {"name": "project"}).find("option")["value"]
        given = {"name": "mine", "project": project, **FIELDS}
        assert await eve.send("/keys/new", **(given | {"tier": "pay-as-you-go"})) == 400
        await eve.visit("/keys/new")
        assert await eve.send("/keys/new", **(given | {"mode": "admin"})) == 400
        key_id = id_of(await create(eve, "mine"))
        await eve.visit(f"/keys/{key_id}")
        assert await eve.send(f"/keys/{key_id}/limits", tier="pay-as-you-go") == 400
        await hall.browser.visit("/keys/new")
        assert "pay-as-you-go" in hall.browser.text
        assert "Admin:" in hall.browser.text

    hall(story)


def test_a_reader_sees_keys_and_changes_none(hall):
    async def story(hall):
        key_id = id_of(await create(hall.browser, "ada's"))
        reader = await hall.invited("reader")
        assert await reader.visit(f"/keys/{key_id}") == 200
        assert await reader.visit("/keys/new") == 403
        await reader.visit(f"/keys/{key_id}")
        assert await reader.send(f"/keys/{key_id}/pause") == 403

    hall(story)


def test_members_resume_what_they_have_paused_themselves_and_nothing_else(hall):
    async def story(hall):
        member = await hall.invited("member", "Mo")
        path = f"/keys/{id_of(await create(member, 'mine'))}"
        await member.visit(path)
        assert await member.send(f"{path}/pause") == 200
        assert await member.send(f"{path}/resume") == 200
        await hall.browser.visit(path)
        assert await hall.browser.send(f"{path}/pause") == 200
        await member.visit(path)
        assert "Somebody else has paused it" in member.text
        assert not member.page.find("form", action=f"{path}/resume")
        await member.send(f"{path}/pause")  # Which changes nothing of whose pause it is.
        assert await member.send(f"{path}/resume") == 400
        assert "Somebody else paused this key" in member.text
        await hall.browser.visit(path)
        assert await hall.browser.send(f"{path}/resume") == 200

    hall(story)


def test_a_paused_key_is_refused_until_it_is_resumed(hall):
    async def story(hall):
        text = await create(hall.browser, "laptop")
        path = f"/keys/{id_of(text)}"
        await hall.browser.visit(path)
        assert await hall.browser.send(f"{path}/pause") == 200
        assert hall.browser.page.find("form", {"action": f"{path}/resume"})
        await noticed(hall)
        assert (await ask(hall, text)).status_code == 401
        await hall.browser.send(f"{path}/resume")
        await noticed(hall)
        assert (await ask(hall, text)).status_code == 200

    hall(story)


def test_name_limits_scopes_and_end_change_and_a_fault_is_told_on_the_same_page(hall):
    async def story(hall):
        browser = hall.browser
        key_id = id_of(await create(browser, "laptop"))
        path = f"/keys/{key_id}"
        await browser.visit(path)
        await browser.send(f"{path}/name", name="desk")
        await browser.send(f"{path}/limits", tier="free-trial", requests="7", tokens="1 000")
        await browser.send(
            f"{path}/scopes", patterns="v1*", endpoints="chat", networks="10.0.0.0/8"
        )
        await browser.send(f"{path}/expiry", expires="30")
        async with hall.store.reading() as connection:
            key = await listed.find(connection, _sight(await hall.organization_id()), key_id)
        assert key.name == "desk"
        assert (key.limits.requests_per_minute, key.limits.tokens_per_minute) == (7, 1_000)
        assert (key.models, key.endpoints, key.networks) == (("v1*",), ("chat",), ("10.0.0.0/8",))
        assert key.expires_at_us == hall.now_us + 30 * 86_400_000_000
        assert await browser.send(f"{path}/scopes", endpoints="chat", networks="nowhere") == 400
        assert "neither an address nor a network" in browser.text
        assert "nowhere" in browser.page.find(id="f-networks").get_text()

    hall(story)


def _sight(organization_id: str):
    from keyhall.ports.people import Sight

    return Sight(organization_id)


def test_a_rotation_shows_the_new_key_once_and_who_still_uses_the_old_one(hall):
    async def story(hall):
        browser = hall.browser
        old = await create(browser, "laptop")
        path = f"/keys/{id_of(old)}"
        await browser.visit(f"{path}/rotate")
        assert await browser.send(f"{path}/rotate", grace="1h") == 200
        new = browser.page.find(id="secret").get_text(strip=True)
        assert new != old
        assert KEY.fullmatch(new)
        assert browser.response.headers["cache-control"] == "no-store"
        await browser.visit(f"{path}/still-used")
        assert "quiet" in browser.text
        assert "Undo the rotation" in browser.text
        assert (await ask(hall, old)).status_code == 200
        await hall.server.hall.ledger.flush()
        await browser.visit(f"{path}/still-used")
        assert "1 request in the last 10 minutes" in browser.text
        assert (await ask(hall, new)).status_code == 200
        await hall.server.hall.ledger.flush()
        await browser.visit(path)
        assert "cannot be undone" in browser.text
        assert await browser.send(f"{path}/unrotate") == 400
        await browser.visit(path)
        await browser.send(f"{path}/finish")
        assert "expired" in browser.text
        await noticed(hall)
        assert (await ask(hall, old)).status_code == 401

    hall(story)


def test_a_rotation_that_is_taken_back_leaves_the_old_key_as_it_was(hall):
    async def story(hall):
        browser = hall.browser
        old = await create(browser, "laptop", expires="90")
        path = f"/keys/{id_of(old)}"
        sight = _sight(await hall.organization_id())
        async with hall.store.reading() as connection:
            before = await listed.find(connection, sight, id_of(old))
        await browser.visit(f"{path}/rotate")
        await browser.send(f"{path}/rotate", grace="24h")
        new = browser.page.find(id="secret").get_text(strip=True)
        await browser.visit(path)
        assert await browser.send(f"{path}/unrotate") == 200
        async with hall.store.reading() as connection:
            assert await listed.find(connection, sight, id_of(old)) == before
        await noticed(hall)
        assert (await ask(hall, new)).status_code == 401
        assert (await ask(hall, old)).status_code == 200
        await browser.visit(f"{path}/rotate")
        assert await browser.send(f"{path}/rotate", grace="0") == 200  # It can be rotated again.

    hall(story)


def test_a_key_is_revoked_by_its_name_and_pausing_is_offered(hall):
    async def story(hall):
        browser = hall.browser
        text = await create(browser, "laptop")
        path = f"/keys/{id_of(text)}"
        await ask(hall, text)
        await hall.server.hall.ledger.flush()
        await browser.visit(f"{path}/revoke")
        assert "made 1 request with it" in browser.text
        assert "Pause it instead?" in browser.text
        assert await browser.send(f"{path}/revoke", name="desk") == 400
        assert await browser.send(f"{path}/revoke", name="laptop", reason="lost") == 200
        await browser.visit(path)
        assert "Reason: lost" in browser.text

    hall(story)


def test_many_keys_are_revoked_after_their_number_was_written(hall):
    async def story(hall):
        browser = hall.browser
        ids = [id_of(await create(browser, name)) for name in ("one", "two", "three")]
        await browser.visit("/keys")
        assert await browser.send("/keys/revoke", key=ids[:2]) == 200
        assert "one" in browser.text
        assert "three" not in browser.text
        assert await browser.send("/keys/revoke", key=ids[:2], confirmed="yes", number="3") == 400
        assert await browser.send("/keys/revoke", key=ids[:2], confirmed="yes", number="2") == 200
        assert "2 keys." in browser.text
        assert "three" in browser.text

    hall(story)


def test_the_list_is_searched_filtered_and_paged_by_its_address(hall):
    async def story(hall):
        browser = hall.browser
        text = await create(browser, "50%_off")
        for number in range(51):
            await hall.server.make_key(f"bulk {number:02}", tier="free-trial")
        await browser.visit("/keys?sort=name")
        assert "53 keys" in browser.text
        assert "Page 1 of 2" in browser.text
        await browser.visit("/keys?sort=name&page=1")
        assert len(browser.page.select("table.keys tbody tr")) == 3
        await browser.visit("/keys?q=%25_o")
        assert "1 key found" in browser.text
        await browser.visit("/keys?state=revoked")
        assert "No key is like that" in browser.text
        await browser.visit(f"/keys?q={text}")  # A pasted key leaves the address.
        assert text not in str(browser.response.url)
        assert "50%_off" in browser.text
        titles = [each.get("title", "") for each in browser.page.select(".limits span")]
        assert any("tokens a minute: the " in each for each in titles)

    hall(story)


def test_a_name_that_begins_a_formula_is_text_in_the_csv(hall):
    async def story(hall):
        await create(hall.browser, "=cmd()")
        await hall.browser.visit("/keys/export.csv")
        assert "'=cmd()" in hall.browser.response.text
        assert "attachment" in hall.browser.response.headers["content-disposition"]

    hall(story)


def test_the_week_of_a_key_counts_what_is_rolled_up_and_what_is_not_yet(hall):
    async def story(hall):
        text = await create(hall.browser, "laptop")
        await ask(hall, text)
        await hall.server.hall.ledger.flush()
        await hall.store.roll_up()
        await ask(hall, text)
        await hall.server.hall.ledger.flush()
        await hall.browser.visit("/keys?q=laptop")
        assert hall.browser.page.select_one(".spark")["aria-label"] == "2 requests in 7 days"

    hall(story)


def test_keys_made_in_the_console_belong_to_who_made_them(hall):
    async def story(hall):
        bo = await hall.invited("member")
        key_id = id_of(await create(bo, "bo's"))
        async with hall.store.reading() as connection:
            row = (await connection.execute(table.select().where(table.c.id == key_id))).one()
            owners = await listed.owners(connection, _sight(await hall.organization_id()), 10)
        assert (row.account_id, "Bo") in owners

    hall(story)


def test_an_admin_key_is_for_operators_and_calls_no_models(hall):
    async def story(hall):
        text = await create(hall.browser, "scraper", mode="admin")
        assert "calls no models" in hall.browser.text
        await hall.browser.visit(f"/keys/{id_of(text)}")
        assert "Administers this server until" in hall.browser.text
        assert (await ask(hall, text)).status_code == 401
        await hall.browser.send(f"/keys/{id_of(text)}/expiry", expires="never")
        assert "An admin key has an end." in hall.browser.text

    hall(story)


def test_after_its_grace_a_rotation_is_neither_finished_nor_taken_back(hall):
    async def story(hall):
        browser = hall.browser
        path = f"/keys/{id_of(await create(browser, 'laptop'))}"
        await browser.visit(path)
        assert await browser.send(f"{path}/finish") == 400
        await browser.visit(path)
        assert await browser.send(f"{path}/unrotate") == 404
        await browser.visit(f"{path}/rotate")
        await browser.send(f"{path}/rotate", grace="0")
        await browser.visit(path)
        assert await browser.send(f"{path}/unrotate") == 400
        await browser.visit(f"{path}/still-used")
        assert "It has ended." in browser.text
        await browser.visit(f"{path}/rotate")
        assert await browser.send(f"{path}/rotate", grace="forever") == 400

    hall(story)


def test_the_last_use_is_told_before_it_is_written_down(hall):
    async def story(hall):
        text = await create(hall.browser, "laptop")
        await ask(hall, text)
        await hall.server.hall.ledger.flush()
        await hall.browser.visit("/keys?q=laptop")
        assert "just now" in hall.browser.page.select_one("table.keys tbody").get_text(" ")
        await hall.browser.visit(f"/keys/{id_of(text)}/revoke")
        assert "the last just now" in hall.browser.text

    hall(story)


def test_who_does_not_operate_gets_no_admin_key_by_rotating_one_and_changes_none(hall):
    async def story(hall):
        key_id = id_of(await create(hall.browser, "scraper", mode="admin"))
        owner = await hall.invited("owner")
        assert await owner.visit(f"/keys/{key_id}") == 200
        assert not owner.page.find("a", href=f"/keys/{key_id}/rotate")
        for act in ("rotate", "revoke", "pause", "name", "expiry", "finish", "unrotate"):
            await owner.visit("/keys")
            sent = {"grace": "24h", "name": "scraper", "expires": "7"}
            assert await owner.send(f"/keys/{key_id}/{act}", **sent) == 400, act
            assert not KEY.search(owner.response.text)
        await owner.visit("/keys")
        assert await owner.send("/keys/revoke", key=key_id, confirmed="yes", number="1") == 400
        await hall.browser.visit(f"/keys/{key_id}")
        assert "active" in hall.browser.text

    hall(story)
