"""Notices in the console: shown to the key's owner with inert evidence, and closed by them."""

from reporting import LEAKS

from keyhall.flows.leaks import wandering
from keyhall.flows.leaks.watch import Watch
from keyhall.policy.leaks.wander import Rule

EVIL = "javascript:alert(1)//<script>alert(1)</script>"


async def report(hall, text, url=EVIL):
    answer = await hall.browser.client.post(LEAKS, json={"keys": [text], "url": url})
    assert answer.status_code == 200, answer.text


async def wander(hall, key, networks):
    """As if the key had been used from so many."""
    watch = Watch(Rule(20, 4), hall.server.house.peppers[0])
    played = type("Played", (), {"grant": type("Grant", (), {"key_id": key.id}), "place": ""})()
    for number in range(networks):
        watch.seen(played, f"198.51.{number}.7", hall.now_us)
    await wandering.report(watch, hall.store, hall.now_us)


def test_a_leak_stands_where_its_owner_looks_until_they_have_seen_it(hall):
    async def story(hall):
        browser = hall.browser
        fresh = await hall.server.make_key("laptop")
        await report(hall, fresh.text.reveal())
        page = f"/keys/{fresh.key.id}"
        for path in ("/", "/keys", page):
            assert await browser.visit(path) == 200
            assert "leaked" in browser.text.lower(), path
            assert "<script>alert" not in browser.response.text, path
            assert 'href="javascript' not in browser.response.text, path
        assert EVIL in browser.text, "evidence is text"
        assert "Reason: leaked" in browser.text
        assert await browser.send(f"{page}/notices/1/close") == 200
        assert "It leaked" not in browser.text
        for path in ("/", "/keys"):
            await browser.visit(path)
            assert "leaked and was revoked" not in browser.text
        await browser.visit(page)
        assert await browser.send(f"{page}/notices/1/close") == 400
        assert "already" in browser.text
        await browser.visit("/audit")
        assert "reported as leaked the key" in browser.text

    hall(story)


def test_a_wandering_key_is_expected_or_rotated(hall):
    async def story(hall):
        browser = hall.browser
        fresh = await hall.server.make_key("app")
        await wander(hall, fresh.key, 30)
        page = f"/keys/{fresh.key.id}"
        await browser.visit("/keys")
        assert "was used from 30 networks in an hour" in browser.text
        await browser.visit(page)
        assert "198.51.0.0/24" in browser.text
        assert "198.51.0.7" not in browser.text, "no address, a network"
        assert f"{page}/rotate" in [link["href"] for link in browser.page.find_all("a", href=True)]
        assert await browser.send(f"{page}/notices/1/close") == 400
        await browser.visit(page)
        assert await browser.send(f"{page}/notices/1/expect") == 200
        assert "Used from many places" not in browser.text
        await wander(hall, fresh.key, 55)
        await browser.visit(page)
        assert "Used from many places" not in browser.text
        await wander(hall, fresh.key, 64)
        await browser.visit(page)
        assert "64 networks in one hour" in browser.text

    hall(story)


def test_nobody_sees_or_closes_another_s_notice(hall):
    async def story(hall):
        fresh = await hall.server.make_key("secret-project")
        await report(hall, fresh.text.reveal())
        for other in (await hall.invited("member"), await hall.signed_up()):
            for path in ("/", "/keys"):
                await other.visit(path)
                assert "secret-project" not in other.text
            assert await other.send(f"/keys/{fresh.key.id}/notices/1/close") == 404
        reader = await hall.invited("reader", "Rea")
        await reader.visit("/keys")
        assert "secret-project" in reader.text
        await reader.visit(f"/keys/{fresh.key.id}")
        assert "It leaked" in reader.text
        assert "I have seen it" not in reader.text
        for number in ("2", "x", "9" * 20):
            await hall.browser.visit(f"/keys/{fresh.key.id}")
            assert await hall.browser.send(f"/keys/{fresh.key.id}/notices/{number}/close") == 404

    hall(story)
