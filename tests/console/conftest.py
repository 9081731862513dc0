"""The console in a whole server inside the test's event loop, with a browser that is signed in."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from browsing import PASSWORD, Browser
from hall_inside import Inside, open_inside

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


class Runs:
    """`hall(story, **settings)` runs `await story(hall)` on a prepared folder."""

    def __init__(self, house):
        self._house = house

    def __call__(self, story, **settings):
        return asyncio.run(self.opened(story, **settings))

    async def opened(self, story, **settings):
        """The same, within a running loop."""
        clock = ManualClock(self._house.now_us)
        if self._house.url:
            settings["database"] = Database(url=self._house.url)
        async with open_inside(self._house.data, clock, **settings) as server:
            made = Hall(server, Browser(server.url), [])
            if "server" in settings and settings["server"].url:
                made.browser.origin = settings["server"].url
            try:
                link = await links.set_up(server.house.store, server.url, clock.now_us())
                assert link is not None
                path = urlsplit(link.reveal()).path
                await made.browser.visit(path)
                await made.browser.send(
                    path, name="Ada", email="ada@example.org", password=PASSWORD, terms="yes"
                )
                await made.browser.visit("/")
                return await story(made)
            finally:
                for each in (made.browser, *made.browsers):
                    await each.close()


@pytest.fixture
def hall(house):
    return Runs(house)


@pytest.fixture
def any_hall(any_house):
    """The same on SQLite and on PostgreSQL, one after the other."""
    return Runs(any_house)
