"""The doors beside the front door: the second factor, a forgotten password, an address that is
confirmed, new terms of use.
"""

from starlette.responses import Response

from keyhall.console.context import SESSION, Ask
from keyhall.console.gate import Page
from keyhall.console.pages.entrance import SESSION_SECONDS, inside
from keyhall.flows.accounts import links, profile, resets, second_factor, sessions
from keyhall.flows.accounts.desk import SlowDown
from keyhall.flows.manage.checks import Refused
from keyhall.policy.secrets import Secret
from keyhall.ports.people import Session

# --- The second factor ----------------------------------------------------------------------------


async def _pending(ask: Ask) -> Session | None:
    """Who has given the password, and not yet the code."""
    cookie = ask.cookie(SESSION)
    found = None if cookie is None else await sessions.find(ask.console.desk, cookie)
    return found if found is not None and found.is_pending else None


def _code_page(ask: Ask, wanted: str, fault: str = "", status: int = 200) -> Response:
    return ask.page("entrance/second_factor.html", status, next=wanted, fault=fault)


async def show_second_factor(ask: Ask) -> Response:
    wanted = inside(ask.query("next", "/"))
    if await _pending(ask) is None:
        return ask.go(wanted if ask.who is not None else "/sign-in")
    return _code_page(ask, wanted)


async def do_second_factor(ask: Ask) -> Response:
    wanted = inside(ask.text("next") or "/")
    pending = await _pending(ask)
    if pending is None:
        return ask.go("/sign-in", "That took longer than 10 minutes. Sign in again.", kind="error")
    try:
        cookie = await second_factor.enter(ask.console.desk, pending, ask.text("code"), ask.sits)
    except SlowDown as error:
        return _code_page(ask, wanted, str(error), 429)
    except Refused as error:
        return _code_page(ask, wanted, str(error), 401)
    return ask.let_in(ask.go(wanted), cookie.reveal(), SESSION_SECONDS)


# --- A forgotten password -------------------------------------------------------------------------


def _forgotten_page(ask: Ask, fault: str = "", status: int = 200) -> Response:
    return ask.page(
        "entrance/forgotten.html",
        status,
        has_mail=ask.console.desk.has_mail,
        email=ask.text("email"),
        fault=fault,
    )


async def show_forgotten(ask: Ask) -> Response:
    return _forgotten_page(ask)


async def do_forgotten(ask: Ask) -> Response:
    if not ask.console.desk.has_mail:
        return _forgotten_page(ask)
    try:
        await resets.ask(ask.console.desk, ask.text("email"), ask.sits)
    except SlowDown as error:
        return _forgotten_page(ask, str(error), 429)
    except Refused as error:
        return _forgotten_page(ask, str(error), 400)
    return ask.page("entrance/sent.html", email=ask.text("email"))


def _reset_page(ask: Ask, fault: str = "") -> Response:
    return ask.page(
        "entrance/reset.html", 400 if fault else 200, action=ask.request.url.path, fault=fault
    )


async def show_reset(ask: Ask) -> Response:
    await links.peek(ask.console.desk, "reset", ask.path("token"))
    return _reset_page(ask)


async def do_reset(ask: Ask) -> Response:
    await links.peek(ask.console.desk, "reset", ask.path("token"))
    try:
        password = Secret(ask.text("password"))
        await resets.reset(ask.console.desk, ask.path("token"), password, ask.sits)
    except Refused as error:
        return _reset_page(ask, str(error))
    said = "Your password was changed, and all sessions have ended. Sign in."
    return ask.let_out(ask.go("/sign-in", said))


# --- An address that is confirmed -----------------------------------------------------------------


async def show_verify(ask: Ask) -> Response:
    """A button: programs that look through mail open links, and press none."""
    link = await links.peek(ask.console.desk, "verify", ask.path("token"))
    return ask.page("entrance/verify.html", action=ask.request.url.path, email=link.email)


async def do_verify(ask: Ask) -> Response:
    email = await profile.verify(ask.console.desk, ask.path("token"), ask.sits)
    said = f"{email} is confirmed."
    return ask.go("/account" if ask.who is not None else "/sign-in", said)


# --- Terms of use ---------------------------------------------------------------------------------


def _terms_page(ask: Ask, wanted: str, fault: str = "") -> Response:
    desk = ask.console.desk
    return ask.page(
        "entrance/terms.html",
        400 if fault else 200,
        next=wanted,
        terms_url=desk.terms_url,
        terms_version=desk.terms_version,
        fault=fault,
    )


async def show_terms(ask: Ask) -> Response:
    desk, wanted = ask.console.desk, inside(ask.query("next", "/"))
    if not desk.terms_url or ask.person.sign_in.terms_version == desk.terms_version:
        return ask.go(wanted)
    return _terms_page(ask, wanted)


async def do_terms(ask: Ask) -> Response:
    wanted = inside(ask.text("next") or "/")
    if ask.text("terms") != "yes":
        return _terms_page(ask, wanted, "Read the terms of use and say that you accept them.")
    await profile.accept_terms(ask.console.desk, ask.person, ask.text("version"), ask.sits)
    return ask.go(wanted)


ROUTES = (
    Page("GET", "/second-factor", show_second_factor, "anyone"),
    Page("POST", "/second-factor", do_second_factor, "anyone"),
    Page("GET", "/forgotten", show_forgotten, "anyone"),
    Page("POST", "/forgotten", do_forgotten, "anyone"),
    Page("GET", "/reset/{token}", show_reset, "anyone"),
    Page("POST", "/reset/{token}", do_reset, "anyone"),
    Page("GET", "/verify/{token}", show_verify, "anyone"),
    Page("POST", "/verify/{token}", do_verify, "anyone"),
    Page("GET", "/terms", show_terms, "signed-in"),
    Page("POST", "/terms", do_terms, "signed-in"),
)
