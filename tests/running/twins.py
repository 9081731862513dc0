"""Two organizations with the same data in each, and every id that one of them has.

Nothing of the second is for the first to see, whatever address, field or filter carries its id.
"""

import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from browsing import Browser
from console_data import used
from plain_http import chat
from sqlalchemy import select, text

import keyhall.console
from keyhall.console.routes import ROUTES
from keyhall.flows.manage import keys as manage
from keyhall.stores.accounts.tables import asks, links, sessions
from keyhall.stores.requests.tables import refusals
from keyhall.stores.spending.tables import alerts, quotas
from keyhall.stores.tables import accounts, keys, members, organizations, projects, usage

SOURCE = Path(keyhall.console.__file__).parent
_READS = re.compile(r"""(?:query|text|texts)\(\s*"([a-z_]+)\"""")
_FIELDS = re.compile(
    r"""(?:number|whole|money|price|tenths|percents|day_us)\([^"()]*"([a-z_]+)\""""
)


@dataclass(slots=True)
class Twin:
    """An organization, its owner's browser, and what it has."""

    name: str
    browser: Browser
    ids: dict[str, str]  # by what they are of

    @property
    def organization_id(self) -> str:
        return self.ids["organization"]


async def twins(hall) -> tuple[Twin, Twin]:
    first = await twin(hall, "Eve")
    async with hall.store.writing() as connection:  # Or the second's numbers would be 1 and 2.
        for name, more in (("asks", 7_654_321), ("alerts", 8_765_432)):
            moved = text("UPDATE sqlite_sequence SET seq = seq + :more WHERE name = :name")
            await connection.execute(moved, {"name": name, "more": more})
    return first, await twin(hall, "Uma")


async def twin(hall, name: str) -> Twin:
    """An owner who has signed up, with one of everything."""
    return await twin_of(hall, await hall.signed_up(name), name)


async def twin_of(hall, browser: Browser, name: str) -> Twin:
    """The same, of an owner who is there."""
    kept = (await browser.client.get("/account/export")).json()
    (mine,) = kept["memberships"]
    one = Twin(name, browser, {"organization": mine["organization_id"]})
    one.ids["account"] = kept["account"][0]["id"]
    one.ids["project"] = await _of(hall, projects, projects.c.organization_id, one)
    await _key(hall, one)
    await _people(hall, one)
    await _money(hall, one)
    async with hall.store.reading() as connection:
        query = select(sessions.c.id).where(sessions.c.account_id == one.ids["account"])
        one.ids["session"] = await connection.scalar(query)
    return one


async def _of(hall, table, column, one, shown=None) -> str:
    async with hall.store.reading() as connection:
        query = select(shown if shown is not None else table.c.id)
        found = (await connection.scalars(query.where(column == one.organization_id))).first()
    assert found is not None, (table.name, one.name)
    return str(found)


async def _key(hall, one) -> None:
    name = f"keyof{one.name}"
    fresh = await hall.server.make_key(
        name, project=one.ids["project"], account_id=one.ids["account"]
    )
    one.ids |= {"key": fresh.key.id, "key characters": fresh.key.id.removeprefix("key_"),
                "key name": name}  # fmt: skip
    line = await hall.server.line()
    answer = await line.ask(fresh.text.reveal(), chat("Hello", "v1"))
    assert answer.status == 200
    await line.ask(fresh.text.reveal(), chat("Hello", "no-such-model"))
    await hall.server.hall.ledger.flush()
    await hall.server.hall.refusals.flush(hall.store, hall.server.clock.now_us())
    one.ids["request"] = await _of(hall, usage, usage.c.organization_id, one, usage.c.request_id)
    one.ids["refusal"] = await _of(
        hall, refusals, refusals.c.organization_id, one, refusals.c.request_id
    )


async def _people(hall, one) -> None:
    browser = one.browser
    await browser.visit("/people")
    assert await browser.send("/people/invite", email="", role="member") == 200
    one.ids["link"] = await _of(hall, links, links.c.organization_id, one)
    await browser.visit("/people/import")
    people = f"Pat,pat@{one.name.lower()}.example"
    await browser.send("/people/import", list=people)
    class_id = browser.page.find("input", {"name": "class"})["value"]
    fields = {"list": people, "class": class_id, "name": f"classof{one.name}"}
    fields |= {"tier": "free-trial", "project": one.ids["project"]}
    await browser.send("/people/import/keys", follow=False, **fields)
    assert browser.response.headers["content-type"].startswith("text/csv"), browser.text
    one.ids["class"] = class_id
    async with hall.store.reading() as connection:
        query = select(accounts.c.id).where(accounts.c.email == f"pat@{one.name.lower()}.example")
        one.ids["member"] = await connection.scalar(query)
    await browser.visit("/limits")
    assert await browser.send("/limits/ask", requests="50", why="a course", key="") == 200
    one.ids["ask"] = await _of(hall, asks, asks.c.organization_id, one, asks.c.number)


async def _money(hall, one) -> None:
    browser = one.browser
    await browser.visit("/spending/budgets/new")
    fields = {"of": one.organization_id, "resource": "requests", "period": "month"}
    fields |= {"policy": "suspend", "amount": "1", "thresholds": "50"}
    assert await browser.send("/spending/budgets/new", **fields) == 200, browser.text
    one.ids["quota"] = await _of(hall, quotas, quotas.c.organization_id, one)
    await used(hall, await manage.find(hall.store, one.ids["key"], hall.now_us), 3)
    one.ids["alert"] = await _of(hall, alerts, alerts.c.organization_id, one, alerts.c.number)


# --- What is nobody's -----------------------------------------------------------------------------


def nobodys(id: str, chance: random.Random) -> str:
    """An id of the same form that exists nowhere."""
    if id.isdigit():
        return str(9_000_000 + chance.randrange(1_000_000))
    head, _, tail = id.rpartition("_")
    if len(id) == 32 and not head:
        return "".join(chance.choices("0123456789abcdef", k=32))
    drawn = "".join(chance.choices(string.ascii_letters, k=len(tail)))
    return f"{head}_{drawn}" if head else drawn


def plain(said: str, id: str) -> str:
    """An answer without what differs every time, and without the id that it repeats."""
    return re.sub(r"class_[0-9A-Za-z]{12}", "CLASS", said.replace(id, "ID"))


# --- What pages read ------------------------------------------------------------------------------


def names_read() -> dict[str, frozenset[str]]:
    """By the folder of pages, every name that a page of it reads from an address or a form."""
    shared = _names_in((SOURCE / "given.py").read_text())
    found = {}
    for folder in {path.parent for path in SOURCE.rglob("pages/**/*.py")}:
        texts = "".join(path.read_text() for path in folder.glob("*.py"))
        found[folder.relative_to(SOURCE).as_posix()] = frozenset(_names_in(texts) | shared)
    return found


def _names_in(text: str) -> set[str]:
    return set(_READS.findall(text)) | set(_FIELDS.findall(text))


def names_of(page, known: dict[str, frozenset[str]]) -> list[str]:
    """Those that the page's own folder reads: each page is asked with all of them."""
    module = page.handler.__module__.removeprefix("keyhall.console.")
    return sorted(known[module.rpartition(".")[0].replace(".", "/")])


def places_of(path: str) -> list[str]:
    """The names in braces."""
    return re.findall(r"\{([a-z_]+)(?::path)?\}", path)


def filled(path: str, value: str) -> str:
    return re.sub(r"\{[a-z_]+(?::path)?\}", value, path)


def routes(method: str) -> Iterator[object]:
    return (page for page in ROUTES if page.method == method)


async def rows_of(hall, one: Twin) -> dict[str, list[tuple]]:
    """Everything of an organization that others must not change."""
    found = {}
    async with hall.store.reading() as connection:
        own = select(projects.c.id).where(projects.c.organization_id == one.organization_id)
        for table, which in (
            (organizations, organizations.c.id == one.organization_id),
            (projects, projects.c.organization_id == one.organization_id),
            (keys, keys.c.project_id.in_(own)),
            (members, members.c.organization_id == one.organization_id),
            (links, links.c.organization_id == one.organization_id),
            (quotas, quotas.c.organization_id == one.organization_id),
            (asks, asks.c.organization_id == one.organization_id),
            (accounts, accounts.c.id.in_([one.ids["account"], one.ids["member"]])),
            (sessions, sessions.c.account_id == one.ids["account"]),
        ):
            kept = [each for each in table.c if each.name not in ("last_used_at_us", "seen_at_us")]
            rows = await connection.execute(select(*kept).where(which))
            found[table.name] = sorted(map(tuple, rows), key=str)
    return found


# --- Forms ----------------------------------------------------------------------------------------

_PLACES = {"key_id": "key", "account": "member", "number": "ask", "id": "class"}


def own_address(path: str, one: Twin) -> str:
    """A page's address with an organization's own ids in it, as far as they fit."""
    for name in places_of(path):
        own = one.ids.get(_PLACES.get(name, name), "nothing")
        path = re.sub(rf"\{{{name}(:path)?\}}", own, path)
    return path


def form_of(one: Twin, names: list[str]) -> dict[str, str]:
    """What makes sense in every field that a page reads."""
    sensible = {
        "name": "A name", "email": "new@eve.example", "role": "member", "amount": "5",
        "resource": "requests", "period": "day", "policy": "suspend", "thresholds": "50",
        "of": one.organization_id, "project": one.ids["project"], "tier": "free-trial",
        "mode": "test", "expires": "never", "endpoints": "chat", "models": "v1", "which": "all",
        "requests": "5", "tokens": "500", "in_flight": "1", "why": "a course", "grace": "24h",
        "requests_per_minute": "5", "tokens_per_minute": "500", "list": "Al,al@eve.example",
        "class": "class_ABCDEFGHIJKL", "key": one.ids["key"], "keys": "revoke", "month": "2027-01",
        "organization": one.organization_id, "patterns": "", "networks": "", "pasted": "Hello",
        "model": "v1", "request": '{"model":"v1","messages":[{"role":"user","content":"x"}]}',
    }  # fmt: skip
    return {name: sensible.get(name, "") for name in names}
