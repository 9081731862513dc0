"""What `Ctrl K` finds: each person the keys that they may see, everybody the documentation."""

FIELDS = {"mode": "live", "tier": "free-trial", "expires": "never", "endpoints": ["chat"]}


async def create(browser, name):
    await browser.visit("/keys/new")
    project = browser.page.find("select", {"name": "project"}).find("option")["value"]
    assert await browser.send("/keys/new", name=name, project=project, **FIELDS) == 200


async def found(browser, wanted):
    assert await browser.visit(f"/palette?q={wanted}") == 200
    return {each["name"]: each["href"] for each in browser.response.json()}


def test_a_key_is_found_by_a_part_of_its_name_by_whoever_may_see_it(hall):
    async def story(hall):
        bo, eve = await hall.invited("member"), await hall.signed_up()
        billing = await hall.invited("billing")
        await create(hall.browser, "walrus of Ada")
        await create(bo, "walrus of Bo")
        assert set(await found(hall.browser, "WALRUS")) == {"walrus of Ada", "walrus of Bo"}
        assert set(await found(bo, "walrus")) == {"walrus of Bo"}
        for nobody in (eve, billing, hall.new_browser()):
            assert await found(nobody, "walrus") == {}
        (path,) = (await found(bo, "walrus")).values()
        assert await bo.visit(path) == 200
        await bo.send(f"{path}/revoke", name="walrus of Bo")
        assert await found(bo, "walrus") == {}

    hall(story)


def test_guides_are_found_by_their_titles_and_by_what_they_speak_of(hall):
    async def story(hall):
        stranger = hall.new_browser()
        assert (await found(stranger, "keeping keys"))["Keeping keys safe"] == (
            "/docs/keeping-keys-safe"
        )
        spoken_of = list((await found(stranger, "retry-after-ms")).values())
        assert spoken_of
        assert all(path.startswith("/docs") for path in spoken_of)
        for path in spoken_of:
            assert await stranger.visit(path) == 200
        assert await found(stranger, "") == {}
        assert await found(stranger, "%20") == {}

    hall(story)


def test_an_address_that_is_no_page_keeps_the_menu_of_whoever_is_signed_in(hall):
    async def story(hall):
        assert await hall.browser.visit("/nowhere") == 404
        assert "/keys" in hall.browser.links()
        stranger = hall.new_browser()
        assert await stranger.visit("/nowhere") == 404
        assert "/keys" not in stranger.links()

    hall(story)
