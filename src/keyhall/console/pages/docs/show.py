"""`/docs`: the documentation, for whoever asks, with their own server's address in it."""

import functools
import re

from starlette.responses import PlainTextResponse, Response

from keyhall.console.compress import compressed
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.docs import library, markdown
from keyhall.console.pages.docs.search import search
from keyhall.flows.manage.checks import NotFound
from keyhall.stores import keys

CONTENTS_MAX = 40  # headings beside a page; of more only the upper level is shown
PLACEHOLDER = "sk-kh_live_…"
_LOOKED_THROUGH = 20
_TITLE = re.compile(r"^<h1[^>]*>.*?</h1>\n?", re.DOTALL)


async def own_key(ask: Ask) -> tuple[str, str] | None:
    """Name and masked text of the reader's newest key, for the examples."""
    if ask.who is None or not ask.who.organization_id:
        return None
    async with ask.store.reading() as connection:
        found = await keys.of_account(
            connection,
            ask.who.account.id,
            ask.who.organization_id,
            usable_at_us=ask.now_us,
            limit=_LOOKED_THROUGH,
        )
    for key in found:
        if key.mode == "live" and key.name != "Playground":
            return key.name, key.masked
    return None


@functools.lru_cache(maxsize=256)  # Pages, for a few readers' keys.
def _rendered(name: str, url: str, masked: str) -> markdown.Rendered:
    text = library.docs()[name].shown(url)
    made = markdown.render(text, (PLACEHOLDER, masked) if masked else None)
    made.html = _TITLE.sub("", made.html)  # The page has it above its contents.
    return made


def _doc(name: str) -> library.Doc:
    found = library.docs().get(name)
    if found is None:
        raise NotFound("There is no such page of the documentation.")
    return found


async def show(ask: Ask) -> Response:
    name = ask.request.path_params.get("name", library.INDEX)
    doc = _doc(name)
    if name == library.INDEX and "name" in ask.request.path_params:
        return ask.go("/docs")
    key = await own_key(ask) if PLACEHOLDER in doc.source else None
    made = _rendered(name, ask.console.url, key[1] if key else "")
    before, after = library.neighbours(name)
    return ask.page(
        "docs/page.html",
        doc=doc,
        body=made.html,
        contents=_contents(made.headings),
        key=key,
        before=before,
        after=after,
        groups=library.groups(),
    )


def _contents(headings: list[markdown.Heading]) -> list[markdown.Heading]:
    inner = [each for each in headings if each.level in (2, 3)]
    return inner if len(inner) <= CONTENTS_MAX else [each for each in inner if each.level == 2]


async def show_search(ask: Ask) -> Response:
    wanted = ask.query("q").strip()
    return ask.page(
        "docs/search.html", wanted=wanted, found=search(wanted), groups=library.groups()
    )


def _markdown(text: str) -> Response:
    return Response(text, media_type="text/markdown; charset=utf-8")


async def show_source(ask: Ask) -> Response:
    return _markdown(_doc(ask.path("name")).filled(ask.console.url))


async def llms(ask: Ask) -> Response:
    """https://llmstxt.org: what there is, for programs that read."""
    url, said = ask.console.url, library.summaries()
    lines = ["# Keyhall", "", "> OpenAI-compatible chat behind API keys, metered and limited.", ""]
    lines += [f"The API is at {url}/v1. Its description: {url}/openapi.json.", ""]
    for heading, found in library.groups().items():
        lines += [f"## {heading}", ""]
        for doc in found:
            summary = f": {said[doc.name]}" if doc.name in said else ""
            lines.append(f"- [{doc.title}]({url}/docs/{doc.name}.md){summary}")
        lines.append("")
    return PlainTextResponse("\n".join(lines))


async def llms_full(ask: Ask) -> Response:
    texts = (doc.shown(ask.console.url).strip() for doc in library.docs().values())
    return PlainTextResponse("\n\n".join(texts) + "\n")


ROUTES = (
    Page("GET", "/docs", compressed(show), "anyone"),
    Page("GET", "/docs/search", show_search, "anyone"),
    Page("GET", "/docs/{name}.md", show_source, "anyone"),
    Page("GET", "/docs/{name}", compressed(show), "anyone"),
    Page("GET", "/llms.txt", llms, "anyone"),
    Page("GET", "/llms-full.txt", llms_full, "anyone"),
)
