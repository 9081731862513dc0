"""The console in a whole server inside the test's event loop, with a browser that is signed in."""

import asyncio
import filecmp
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from browsing import PASSWORD, Browser
from hall_inside import Inside, open_inside
from made_usage import NOW_US

from keyhall.clock import ManualClock
from keyhall.config import Database
from keyhall.flows.accounts import links
from keyhall.policy.people.roles import Role
from keyhall.stores import organizations


@dataclass(slots=True)
class Hall:
    """A server, and the browser of whoever claimed it."""

    server: Inside
    browser: Browser  # of Ada, the operator and owner of the first organization
    browsers: list[Browser]

    @property
    def store(self):
        return self.server.house.store

    @property
    def now_us(self) -> int:
        return self.server.clock.now_us()

    def new_browser(self, **headers: str) -> Browser:
        made = Browser(self.server.url, **headers)
        made.origin = self.browser.origin
        self.browsers.append(made)
        return made

    async def organization_id(self) -> str:
        async with self.store.reading() as connection:
            project = await organizations.default_project(connection)
        return project.organization_id

    async def invited(self, role: Role, name: str = "Bo") -> Browser:
        """The browser of somebody with that role in the first organization."""
        async with self.store.writing() as connection:
            _, token = await links.make(
                connection,
                "invite",
                made_by="tests",
                now_us=self.now_us,
                organization_id=await self._organization(connection),
                role=role,
            )
        browser = self.new_browser()
        address = f"/join/{token.reveal()}"
        await browser.visit(address)
        email = f"{name.lower()}-{role}@example.org"
        assert await browser.send(address, name=name, email=email, password=PASSWORD) == 200
        return browser

    async def signed_up(self, name: str = "Eve") -> Browser:
        """The browser of somebody with an organization of their own."""
        browser = self.new_browser()
        await browser.visit("/sign-up")
        email = f"{name.lower()}@elsewhere.example"
        assert await browser.send("/sign-up", name=name, email=email, password=PASSWORD) == 200
        return browser

    async def _organization(self, connection) -> str:
        project = await organizations.default_project(connection)
        return project.organization_id


async def claim(hall: Hall) -> None:
    """Ada makes her account, by the link of the first start."""
    link = await links.set_up(hall.store, hall.server.url, hall.now_us)
    assert link is not None
    path = urlsplit(link.reveal()).path
    given = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD, "terms": "yes"}
    await hall.browser.visit(path)
    await hall.browser.send(path, **given)


@dataclass(slots=True)
class Claimed:
    """A prepared folder whose server Ada has claimed, made once: it takes longer than most tests.
    `before` is the folder as it was."""

    before: Path
    data: Path
    cookies: dict[str, str]  # of her browser

    def enter(self, hall: Hall) -> None:
        for name, value in self.cookies.items():
            hall.browser.client.cookies.set(name, value, domain="127.0.0.1", path="/")


@pytest.fixture(scope="session")
def claimed_once(prepared_once, tmp_path_factory):
    data = tmp_path_factory.mktemp("claimed") / "house"
    shutil.copytree(prepared_once, data)
    data.chmod(0o700)
    cookies = {}

    async def opened():
        async with open_inside(data, ManualClock(NOW_US)) as server:
            hall = Hall(server, Browser(server.url), [])
            await claim(hall)
            cookies.update(hall.browser.client.cookies)
            await hall.browser.close()

    asyncio.run(opened())
    return Claimed(prepared_once, data, cookies)


class Runs:
    """`hall(story, **settings)` runs `await story(hall)` on a prepared folder."""

    def __init__(self, house, claimed):
        self._house = house
        self._claimed = claimed

    def _is_claimed(self, settings):
        """Take the folder that is claimed already, if there is nothing else in the test's own and
        the server has the address and the rules of that one."""
        mine = self._house.database
        if self._house.now_us != NOW_US or self._house.url:
            return False
        if settings.keys() & {"server", "console", "alerts", "log"}:
            return False
        if not filecmp.cmp(self._claimed.before / mine.name, mine, shallow=False):
            return False
        shutil.copytree(self._claimed.data, self._house.data, dirs_exist_ok=True)
        return True

    def __call__(self, story, **settings):
        return asyncio.run(self.opened(story, **settings))

    async def opened(self, story, **settings):
        """The same, within a running loop."""
        clock = ManualClock(self._house.now_us)
        is_claimed = self._is_claimed(settings)
        if self._house.url:
            settings["database"] = Database(url=self._house.url)
        async with open_inside(self._house.data, clock, **settings) as server:
            made = Hall(server, Browser(server.url), [])
            if "server" in settings and settings["server"].url:
                made.browser.origin = settings["server"].url
            try:
                if is_claimed:
                    self._claimed.enter(made)
                else:
                    await claim(made)
                await made.browser.visit("/")
                return await story(made)
            finally:
                for each in (made.browser, *made.browsers):
                    await each.close()


@pytest.fixture
def hall(house, claimed_once):
    return Runs(house, claimed_once)


@pytest.fixture
def any_hall(any_house, claimed_once):
    """The same on SQLite and on PostgreSQL, one after the other."""
    return Runs(any_house, claimed_once)
