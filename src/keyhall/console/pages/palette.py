"""What `Ctrl K` finds beside the pages of the menu: keys by name, and the documentation."""

from starlette.responses import JSONResponse, Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.docs import library, search
from keyhall.stores.holders import keys
from keyhall.stores.holders.keys import Filter

WANTED_MAX = 100  # A name has no more.
KEYS_MAX, DOCS_MAX = 6, 6


async def palette(ask: Ask) -> Response:
    wanted = ask.query("q").strip()[:WANTED_MAX]
    if not wanted:
        return JSONResponse([])
    return JSONResponse([*await _keys(ask, wanted), *_docs(wanted)])


async def _keys(ask: Ask, wanted: str) -> list[dict[str, str]]:
    """Those in use that the person may see."""
    if ask.who is None or not ask.who.may("keys.read"):
        return []
    asked = Filter(search=wanted, sort="used")
    async with ask.store.reading() as connection:
        found = await keys.listed(connection, ask.who.sight, asked, ask.now_us, limit=KEYS_MAX)
    return [
        {"href": f"/keys/{each.key.id}", "name": each.key.name, "kind": f"Key {each.key.masked}"}
        for each in found
    ]


def _docs(wanted: str) -> list[dict[str, str]]:
    """Pages that are called so, then sections that speak of it."""
    text = wanted.lower()
    called = [each for each in library.docs().values() if text in each.title.lower()]
    found = {each.path: (each.title, "Docs") for each in called}
    for each in search.search(wanted):
        section = each.section
        is_whole = section.title == section.doc.title
        found.setdefault(
            section.doc.path if is_whole else section.href,
            (section.title, "Docs" if is_whole else f"Docs: {section.doc.title}"),
        )
    listed = list(found.items())[:DOCS_MAX]
    return [{"href": href, "name": name, "kind": kind} for href, (name, kind) in listed]


ROUTES = (Page("GET", "/palette", palette, "anyone"),)
