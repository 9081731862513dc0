"""`/docs/api` and `/openapi.json`: the reference, from the description of the routes in `wire/`."""

import functools
from dataclasses import dataclass

import msgspec
from starlette.responses import Response

from keyhall import __version__
from keyhall.console.compress import compressed
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.docs import library, markdown
from keyhall.errors import Problem
from keyhall.wire.reference import document as openapi
from keyhall.wire.reference.routes import DESCRIBED, Described
from keyhall.wire.reference.samples import LANGUAGES, samples


@dataclass(frozen=True, slots=True)
class Shown:
    """An operation as the page shows it."""

    route: Described
    says: str  # HTML
    samples: dict[str, str]  # HTML by language
    body: str  # JSON of the example
    problems: list[Problem]
    guides: list[library.Doc]


@functools.lru_cache(maxsize=4)
def _shown(url: str) -> tuple[Shown, ...]:
    return tuple(_operation(each, url) for each in DESCRIBED)


def _operation(route: Described, url: str) -> Shown:
    blocks = {
        language: markdown.code(text, LANGUAGES[language], f"{route.anchor}-{language.lower()}")
        for language, text in samples(route, url).items()
    }
    return Shown(
        route=route,
        says=markdown.render(route.says).html,
        samples=blocks,
        body=msgspec.json.encode(route.example).decode() if route.example else "",
        problems=openapi.rows(route.problems),
        guides=[library.docs()[name] for name in route.guides],
    )


def _inline(text: str) -> str:
    return markdown.render(text).html.removeprefix("<p>").removesuffix("</p>\n")


@functools.cache
def _parameters() -> tuple[tuple[str, str, bool, str], ...]:
    return tuple(
        (name, kind, is_needed, _inline(says))
        for name, kind, is_needed, says in openapi.parameters()
    )


async def show(ask: Ask) -> Response:
    return ask.page(
        "docs/api.html",
        operations=_shown(ask.console.url),
        parameters=_parameters(),
        headers=openapi.HEADERS,
        groups=library.groups(),
        may_try=ask.who is not None and ask.who.may("playground"),
    )


@functools.lru_cache(maxsize=4)
def _document(url: str) -> bytes:
    return msgspec.json.encode(openapi.document(url, __version__))


async def show_document(ask: Ask) -> Response:
    return Response(_document(ask.console.url), media_type="application/json")


ROUTES = (
    Page("GET", "/docs/api", compressed(show), "anyone"),
    Page("GET", "/openapi.json", compressed(show_document), "anyone"),
)
