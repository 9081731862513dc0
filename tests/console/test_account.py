"""One's own account: profile, password, sessions, data, and the end of it."""

import json

from browsing import PASSWORD


async def keys_of(hall, browser, count=1):
    """Keys that belong to whoever's browser it is."""
    account_id = await account_id_of(hall, browser)
    return [
        await hall.server.make_key(f"own {number}", account_id=account_id)
        for number in range(count)
    ]


async def account_id_of(hall, browser):
    answer = await browser.client.get("/account/export")
    return answer.json()["account"][0]["id"]


def test_a_name_is_changed_and_a_bad_one_is_told_beside_its_field(hall):
    async def story(hall):
        browser = hall.browser
        assert await browser.visit("/account") == 200
        assert await browser.send("/account/profile", name="Ada L.") == 200
        assert "Ada L." in browser.text
        assert await browser.send("/account/profile", name="  ") == 400
        assert browser.page.find(id="h-name").get_text() == "The name is empty."

    hall(story)


def test_a_new_password_needs_the_old_one_and_ends_all_other_sessions(hall):
    async def story(hall):
        other = hall.new_browser()
        await other.visit("/sign-in")
        await other.send("/sign-in", email="ada@example.org", password=PASSWORD)
        await hall.browser.visit("/account")
        new = "another battery staple"
        fields = {"password": "wrong wrong wrong", "new_password": new}
        assert await hall.browser.send("/account/password", **fields) == 400
        await other.visit("/")
        assert other.title == "Home"
        fields["password"] = PASSWORD
        assert await hall.browser.send("/account/password", **fields) == 200
        assert hall.browser.title == "Account"
        await other.visit("/account")
        assert other.title == "Sign in"
        assert await other.send("/sign-in", email="ada@example.org", password=PASSWORD) == 401
        assert await other.send("/sign-in", email="ada@example.org", password=new) == 200

    hall(story)


def test_attack_22_a_session_that_was_ended_opens_nothing_any_more(hall):
    async def story(hall):
        other = hall.new_browser(**{"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/145.0"})
        await other.visit("/sign-in")
        await other.send("/sign-in", email="ada@example.org", password=PASSWORD)
        await hall.browser.visit("/account")
        assert "Firefox on Linux" in hall.browser.text
        await hall.browser.send("/account/sessions/end-others")
        await other.visit("/account")
        assert other.title == "Sign in"

    hall(story)


def test_attack_2_nobody_ends_somebody_elses_session(hall):
    async def story(hall):
        eve = await hall.signed_up()
        await hall.browser.visit("/account")
        mine = hall.browser.page.find("button", {"name": "session"})["value"]
        await eve.visit("/account")
        assert await eve.send("/account/sessions/end", session=mine) == 404
        unknown = eve.text
        assert await eve.send("/account/sessions/end", session="sess_unknown12345") == 404
        assert eve.text == unknown
        await hall.browser.visit("/account")
        assert hall.browser.title == "Account"

    hall(story)


def test_without_mail_an_address_changes_with_the_password_alone(hall):
    async def story(hall):
        await hall.signed_up("Eve")
        browser = hall.browser
        await browser.visit("/account")
        fields = {"email": "lovelace@example.org", "password": "wrong wrong wrong"}
        assert await browser.send("/account/email", **fields) == 400
        fields["password"] = PASSWORD
        assert await browser.send("/account/email", **fields) == 200
        assert "lovelace@example.org" in browser.text
        fields["email"] = "eve@elsewhere.example"
        assert await browser.send("/account/email", **fields) == 400
        assert "cannot be used" in browser.text

    hall(story)


def test_attack_12_fields_that_no_form_has_change_nothing(hall):
    async def story(hall):
        member = await hall.invited("member")
        await member.visit("/account")
        more = {"is_operator": "1", "role": "owner", "tier": "none", "id": "acct_x"}
        more |= {"organization_id": "org_x", "email": "root@example.org", "has_totp": "1"}
        more |= {"email_verified_at_us": "1", "created_at_us": "1", "terms_version": "9"}
        before = (await member.client.get("/account/export")).json()
        for path, own in (("/account/profile", {"name": "Bo"}), ("/theme", {"theme": "dark"})):
            assert await member.send(path, **(more | own)) == 200
            after = (await member.client.get("/account/export")).json()
            for part in ("account", "sign_in", "memberships"):
                assert after[part] == before[part]

    hall(story)


def test_attack_13_the_export_has_everything_and_nothing_that_lets_anybody_in(hall):
    async def story(hall):
        member = await hall.invited("member")
        (fresh,) = await keys_of(hall, member)
        answer = await member.client.get("/account/export")
        assert "attachment" in answer.headers["content-disposition"]
        assert answer.headers["cache-control"] == "no-store"
        said = answer.json()
        assert [key["id"] for key in said["keys"]] == [fresh.key.id]
        assert {each["action"] for each in said["audit"]} >= {"account.create", "member.join"}
        names = {name for part in said.values() for row in part for name in row}
        assert not names & {"digest", "password", "totp", "recovery_codes", "pepper"}
        assert "argon2" not in answer.text
        assert fresh.text.reveal() not in answer.text
        assert "ada@example.org" not in answer.text

    hall(story)


def test_the_export_has_every_request_as_numbers(hall):
    async def story(hall):
        member = await hall.invited("member")
        (fresh,) = await keys_of(hall, member)
        body = {"model": "v1", "messages": [{"role": "user", "content": "a secret of mine"}]}
        sent = await hall.browser.client.post(
            "/v1/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {fresh.text.reveal()}"},
        )
        assert sent.status_code == 200
        await hall.server.hall.ledger.flush()
        answer = await member.client.get("/account/export")
        (row,) = json.loads(answer.text)["requests"]
        assert (row["key_id"], row["output_tokens"] > 0) == (fresh.key.id, True)
        assert "a secret of mine" not in answer.text

    hall(story)


def test_an_account_is_deleted_with_its_keys_and_its_numbers_stay(hall):
    async def story(hall):
        member = await hall.invited("member")
        (fresh,) = await keys_of(hall, member)
        await member.visit("/account/delete")
        assert await member.send("/account/delete", name="Bob", password=PASSWORD) == 400
        assert await member.send("/account/delete", name="Bo", password="wrong wrong wro") == 400
        assert await member.send("/account/delete", name="Bo", password=PASSWORD) == 200
        assert member.title == "Sign in"
        assert (
            await member.send("/sign-in", email="bo-member@example.org", password=PASSWORD) == 401
        )
        async with hall.store.reading() as connection:
            rows = await connection.exec_driver_sql(
                "SELECT k.revoked_at_us, a.name, a.email FROM keys k JOIN accounts a "
                "ON a.id = k.account_id WHERE k.id = ?",
                (fresh.key.id,),
            )
            ((revoked, name, email),) = rows.all()
        assert (revoked, name, email) == (hall.now_us, "Deleted account", None)

    hall(story)


def test_the_last_operator_and_the_last_owner_of_others_are_told_what_to_do_first(hall):
    async def story(hall):
        await hall.browser.visit("/account/delete")
        assert "keyhall accounts operator ACCOUNT on" in hall.browser.text
        fields = {"name": "Ada", "password": PASSWORD}
        assert await hall.browser.send("/account/delete", **fields) == 400
        await hall.browser.visit("/")
        assert hall.browser.title == "Home"

    hall(story)
