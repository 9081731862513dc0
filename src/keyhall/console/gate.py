"""The gate: nobody reaches a page without passing here, in this order.

The session of the cookie; the page's own permission; for what changes something, that the request
comes from our own page (Origin, Sec-Fetch-Site and the form's token); a bound form. What a flow
refuses becomes a sentence on a page; what fails becomes the error table's row with the id that
stands in the log.

The console never reads an Authorization header, and `/v1` never reads a cookie.
"""

import hmac
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from keyhall.console.context import FLASH, SESSION, Ask, Console, csrf_of
from keyhall.console.render import render
from keyhall.flows.accounts import sessions
from keyhall.flows.accounts.desk import From, SlowDown
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.policy.access import names_this_machine
from keyhall.policy.people.roles import Permission
from keyhall.ports.people import Person
from keyhall.ports.store import StoreAway

_log = logging.getLogger("keyhall")

Needs = Permission | Literal["anyone", "signed-in"]
Handler = Callable[[Ask], Awaitable[Response]]

FORM_BYTES_MAX = 1 << 20  # A class list of thousands fits.
FIELDS_MAX = 300
_UTF_8 = re.compile(r';\s*charset="?utf-8"?\s*(?=;|$)')
# What is there for whoever has not accepted the newest terms of use.
BEFORE_TERMS = frozenset({"/terms", "/sign-in", "/sign-out", "/theme"})

SAFE_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A row of the route table: what answers, and who may ask."""

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    needs: Needs


async def answer(console: Console, page: Page, request: Request) -> Response:
    """The page, or what stands in its place."""
    try:
        response = await _answer(console, page, request)
    except StoreAway:
        said = "The database does not answer. Try again in a moment; nothing was changed."
        response = await problem(console, request, 503, "Not now", said)
    ask = Ask(request, console, None, sits(console, request))
    if ask.cookie(FLASH) and response.status_code == 200:
        ask.forget(response, FLASH)
    return response


async def _answer(console: Console, page: Page, request: Request) -> Response:
    cookie = request.cookies.get(console.cookie(SESSION))
    who = await sessions.person(console.desk, cookie) if cookie else None
    ask = Ask(request, console, who, sits(console, request), render=render)
    if page.needs != "anyone":
        if who is None:
            return _sign_in_first(request)
        if page.needs != "signed-in" and not who.may(page.needs):
            _refused(ask, page, f"needs {page.needs}")
            return ask.page("forbidden.html", 403, needs=page.needs)
    if who is not None and page.path not in BEFORE_TERMS and _has_new_terms(console, who):
        return _terms_first(request)
    if page.method == "POST":
        if not is_ours(console, request):
            _refused(ask, page, "from another site")
            return ask.page("problem.html", 403, title="Not from here", said=_foreign(ask))
        ask.form = await _form(request)
        if who is not None and (said := _stale(page, ask, who)):
            _refused(ask, page, "without the session's token")
            return ask.page("problem.html", 403, title="Open it again", said=said)
    try:
        if not _is_text(ask):
            raise Refused("It holds a character of no text (U+0000), so nothing was done.")
        return await page.handler(ask)
    except NotFound as error:
        return ask.page("problem.html", 404, title="Not found", said=str(error))
    except SlowDown as error:
        response = ask.page("problem.html", 429, title="Slow down", said=str(error))
        response.headers["retry-after"] = str(max(1, -(-error.wait_us // 1_000_000)))
        return response
    except Refused as error:
        return ask.page("problem.html", 400, title=_refused_title(page), said=str(error))
    finally:
        await ask.form.close()  # Files that came with it are on disk until then.


def _refused(ask: Ask, page: Page, reason: str) -> None:
    """A line of the log. The path is the table's: the one that was asked for may hold a token."""
    who = None if ask.who is None else ask.who.account.id
    facts = {"account": who, "method": page.method, "path": page.path, "reason": reason}
    request_id = ask.request.scope.get("keyhall.request_id", "")
    _log.warning("page_refused", {"request_id": f"req_{request_id}", **facts, "ip": ask.sits.ip})


def _refused_title(page: Page) -> str:
    return "That was not done" if page.method == "POST" else "This cannot be opened"


def _has_new_terms(console: Console, who: Person) -> bool:
    desk = console.desk
    return bool(desk.terms_url) and who.sign_in.terms_version != desk.terms_version


def _terms_first(request: Request) -> Response:
    """Another edition of the terms is read before anything else."""
    if request.headers.get("hx-request") == "true":
        return PlainTextResponse("Read the terms.", 401, headers={"hx-redirect": "/terms"})
    if request.method != "GET":
        return RedirectResponse("/terms", 303)
    return RedirectResponse(f"/terms?next={_wanted(request)}", 303)


def _wanted(request: Request) -> str:
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return quote(wanted, safe="/")


async def not_there(
    console: Console, request: Request, status: int, title: str, said: str
) -> Response:
    """What is wrong with the address itself, with the menu for whoever is signed in."""
    cookie = request.cookies.get(console.cookie(SESSION))
    try:
        who = await sessions.person(console.desk, cookie) if cookie else None
    except StoreAway:
        who = None
    ask = Ask(request, console, who, sits(console, request), render=render)
    return ask.page("problem.html", status, title=title, said=said)


async def problem(
    console: Console, request: Request, status: int, title: str, said: str
) -> Response:
    """A page that says what is wrong to whoever it is, without asking the store."""
    ask = Ask(request, console, None, sits(console, request), render=render)
    return ask.page("problem.html", status, title=title, said=said)


def _sign_in_first(request: Request) -> Response:
    """To the page that was wanted, by way of signing in."""
    if request.headers.get("hx-request") == "true":
        return PlainTextResponse("Sign in again.", 401, headers={"hx-redirect": "/sign-in"})
    if request.method != "GET":
        return RedirectResponse("/sign-in", 303)
    return RedirectResponse(f"/sign-in?next={_wanted(request)}", 303)


def sits(console: Console, request: Request) -> From:
    """Where the browser is, by the same rule as for keys (R26)."""
    ip = request.client.host if request.client else ""
    hops = request.headers.getlist("x-forwarded-for")
    if hops and console.hall.trusted_proxies is not None:
        ip = console.hall.trusted_proxies.client_ip(ip, ",".join(hops).encode("latin-1"))
    return From(ip, request.headers.get("user-agent", ""))


def is_ours(console: Console, request: Request) -> bool:
    """A request that changes something comes from a page of ours. Browsers say so in at least one
    of two headers; whoever says it in neither is no browser, and no form of ours."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return site == "same-origin"
    if origin == "null":
        return False
    sent, ours = urlsplit(origin), urlsplit(console.url)
    if console.is_secure and sent.scheme != "https":
        return False
    named = request.headers.get("host", "")
    own = {ours.netloc, named if knows(console, named) else ""}
    return bool(sent.netloc) and sent.netloc in own


def _foreign(ask: Ask) -> str:
    """What whoever runs the server needs to know, where it is a proxy that nobody told it of."""
    named = ask.request.headers.get("host", "")[:200]
    if knows(ask.console, named):
        return "This form was sent from another site, so nothing was done."
    return (
        f"This server does not know that it is called {named}, so nothing was done. If it is, its "
        "settings have to say so: url in the section server."
    )


def knows(console: Console, named: str) -> bool:
    """Whether a Host header names this server. One that is for its own machine alone is asked by
    that machine's names and by no others: whoever owns a name may point it at 127.0.0.1, and have
    browsers there take our pages for theirs."""
    host = urlsplit(f"//{named}").hostname or ""
    return not console.config.is_for_this_machine or names_this_machine(host)


def _is_text(ask: Ask) -> bool:
    """PostgreSQL keeps every character but one, which nobody types."""
    given = (*ask.request.path_params.values(), *ask.request.query_params.values())
    sent = (value for _, value in ask.form.multi_items() if isinstance(value, str))
    return not any("\0" in each for each in (*given, *sent))


async def _form(request: Request) -> FormData:
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > FORM_BYTES_MAX:
        raise HTTPException(413, "A form has a length of at most 1 MiB.")
    kind, _, more = request.headers.get("content-type", "").lower().partition(";")
    kind = kind.strip()
    if "charset" in _UTF_8.sub("", f";{more}"):
        # Browsers send UTF-8, and of others some take minutes to be read, or hold no text.
        raise HTTPException(415, "A form in UTF-8 was expected.")
    if kind not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        raise HTTPException(415, "A form was expected.")
    try:
        return await request.form(max_files=2, max_fields=FIELDS_MAX, max_part_size=FORM_BYTES_MAX)
    except ClientDisconnect:
        raise HTTPException(400, "The form did not come whole.") from None


def _stale(page: Page, ask: Ask, who: Person) -> str:
    """What is wrong with the form's token, if anything is. A form acts on the organization that
    its page was of: who has turned to another one since, in another tab, shall look again."""
    given = ask.text("csrf") or ask.request.headers.get("x-csrf", "")
    organization_id = given.rpartition(".")[0]
    right = csrf_of(ask.console, who.session.id, organization_id)
    if not hmac.compare_digest(given.encode(), right.encode()):
        return "This page was open for too long or in another session. Load it again."
    if page.needs not in ("anyone", "signed-in") and organization_id != who.organization_id:
        return "You look at another organization now than when this page was opened. Load it again."
    return ""
