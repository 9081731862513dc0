"""Before the door: signing in and up, invitations, the set-up link; and out again."""

from urllib.parse import urlencode

from starlette.responses import Response

from keyhall.console.context import SESSION, Ask
from keyhall.console.gate import Page
from keyhall.flows.accounts import links, sessions, sign_in, sign_up
from keyhall.flows.accounts.desk import Denied, SlowDown
from keyhall.flows.accounts.sign_up import NewAccount
from keyhall.flows.manage.checks import Refused
from keyhall.policy.people.letting_in import PENDING_LIFE_US, SESSION_LIFE_US
from keyhall.policy.secrets import Secret
from keyhall.stores.accounts import people

SESSION_SECONDS = SESSION_LIFE_US // 1_000_000
PENDING_SECONDS = PENDING_LIFE_US // 1_000_000
_OPEN = ("open", "domains")


def inside(path: str) -> str:
    """Where to go on after signing in: a page of ours, whatever the address says."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_ours else "/"


async def enter(ask: Ask, path: str, cookie: Secret, seconds: int, said: str = "") -> Response:
    """Into the house with a new session; the one that the browser had until now ends."""
    before = ask.cookie(SESSION)
    if before is not None:
        await sessions.end_of(ask.console.desk, before)
    return ask.let_in(ask.go(path, said), cookie.reveal(), seconds)


async def proved(ask: Ask, response: Response) -> Response:
    """After the password was asked for again: go on with another token."""
    cookie = await sessions.renew(ask.console.desk, ask.person.session.id)
    return ask.let_in(response, cookie.reveal(), SESSION_SECONDS)


async def show_sign_in(ask: Ask) -> Response:
    if ask.who is not None:
        return ask.go(inside(ask.query("next", "/")))
    async with ask.store.reading() as connection:
        if not await people.has_any(connection):
            return ask.page("entrance/welcome.html")
    return _sign_in_page(ask, inside(ask.query("next", "/")))


def _sign_in_page(ask: Ask, wanted: str, fault: str = "", status: int = 200) -> Response:
    return ask.page(
        "entrance/sign_in.html",
        status,
        next=wanted,
        email=ask.text("email"),
        fault=fault,
        may_sign_up=ask.console.desk.sign_up in _OPEN,
    )


async def do_sign_in(ask: Ask) -> Response:
    wanted = inside(ask.text("next") or "/")
    password = Secret(ask.text("password"))
    try:
        cookie, is_pending = await sign_in.sign_in(
            ask.console.desk, ask.text("email"), password, ask.sits
        )
    except Denied as error:
        return _sign_in_page(ask, wanted, str(error), 429 if "Wait" in str(error) else 401)
    if is_pending:
        further = f"/second-factor?{urlencode({'next': wanted})}"
        return await enter(ask, further, cookie, PENDING_SECONDS)
    return await enter(ask, wanted, cookie, SESSION_SECONDS)


async def sign_out(ask: Ask) -> Response:
    if ask.who is not None:
        await sessions.end(ask.console.desk, ask.who.session.id)
    return ask.let_out(ask.go("/sign-in"))


# --- Making an account ----------------------------------------------------------------------------


def _given(ask: Ask) -> NewAccount:
    return NewAccount(
        name=ask.text("name"),
        email=ask.text("email"),
        password=Secret(ask.text("password")),
        accepts_terms=ask.text("terms") == "yes",
    )


def _account_page(
    ask: Ask, heading: str, lead: str, button: str, fault: str = "", email: str = ""
) -> Response:
    given = {"name": ask.text("name"), "email": ask.text("email") or email}
    return ask.page(
        "entrance/account.html",
        400 if fault else 200,
        heading=heading,
        lead=lead,
        button=button,
        action=ask.request.url.path,
        given=given,
        fault=fault,
        terms_url=ask.console.desk.terms_url,
    )


def _sign_up_page(ask: Ask, fault: str = "") -> Response:
    lead = "It comes with the free trial: 20 requests and 40,000 tokens a minute."
    return _account_page(ask, "Make an account", lead, "Make the account", fault)


async def show_sign_up(ask: Ask) -> Response:
    if ask.console.desk.sign_up not in _OPEN:
        said = "Accounts are made by invitation here. Ask whoever runs this server for one."
        return ask.page("problem.html", 403, title="By invitation", said=said)
    return _sign_up_page(ask)


async def do_sign_up(ask: Ask) -> Response:
    try:
        cookie = await sign_up.sign_up(ask.console.desk, _given(ask), ask.sits)
    except SlowDown:
        raise
    except Refused as error:
        return _sign_up_page(ask, str(error))
    said = "Welcome. Your account and its first project are there."
    return await enter(ask, "/", cookie, SESSION_SECONDS, said)


def _set_up_page(ask: Ask, fault: str = "") -> Response:
    lead = "The first account runs this server: it takes over what the first start made."
    return _account_page(ask, "Set up Keyhall", lead, "Make the account", fault)


async def show_set_up(ask: Ask) -> Response:
    await links.peek(ask.console.desk, "set-up", ask.path("token"))
    return _set_up_page(ask)


async def do_set_up(ask: Ask) -> Response:
    await links.peek(ask.console.desk, "set-up", ask.path("token"))
    try:
        cookie = await sign_up.claim(ask.console.desk, ask.path("token"), _given(ask), ask.sits)
    except Refused as error:
        return _set_up_page(ask, str(error))
    return await enter(ask, "/first-run", cookie, SESSION_SECONDS)


async def _invitation(ask: Ask) -> tuple[str, str]:
    """The organization that invites, and the address that it invites."""
    link = await links.peek(ask.console.desk, "invite", ask.path("token"))
    async with ask.store.reading() as connection:
        name = await people.organization_name(connection, link.organization_id or "")
    return name or "an organization", link.email or ""


def _join_page(ask: Ask, name: str, email: str, fault: str = "") -> Response:
    lead = "Make an account to join. You can be in several organizations with one account."
    return _account_page(ask, f"Join {name}", lead, "Join", fault, email)


async def show_join(ask: Ask) -> Response:
    name, email = await _invitation(ask)
    if ask.who is not None:
        return ask.page("entrance/accept.html", name=name, token=ask.path("token"))
    return _join_page(ask, name, email)


async def do_join(ask: Ask) -> Response:
    name, email = await _invitation(ask)
    desk, token = ask.console.desk, ask.path("token")
    if ask.who is not None:
        link = await sign_up.accept(desk, token, ask.who.account, ask.sits)
        await sessions.look_at_new(ask.console.desk, ask.who, link.organization_id or "")
        return ask.go("/", f"You are a member of {name}.")
    try:
        cookie = await sign_up.join(desk, token, _given(ask), ask.sits)
    except Refused as error:
        return _join_page(ask, name, email, str(error))
    return await enter(ask, "/", cookie, SESSION_SECONDS, f"Welcome to {name}.")


ROUTES = (
    Page("GET", "/sign-in", show_sign_in, "anyone"),
    Page("POST", "/sign-in", do_sign_in, "anyone"),
    Page("POST", "/sign-out", sign_out, "anyone"),
    Page("GET", "/sign-up", show_sign_up, "anyone"),
    Page("POST", "/sign-up", do_sign_up, "anyone"),
    Page("GET", "/set-up/{token}", show_set_up, "anyone"),
    Page("POST", "/set-up/{token}", do_set_up, "anyone"),
    Page("GET", "/join/{token}", show_join, "anyone"),
    Page("POST", "/join/{token}", do_join, "anyone"),
)
