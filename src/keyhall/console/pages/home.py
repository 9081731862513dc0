"""The front page, the choice of an organization, and the choice of colours."""

from starlette.responses import Response

from keyhall.console.context import THEME, Ask
from keyhall.console.gate import Page
from keyhall.console.pages.entrance import inside, show_sign_in
from keyhall.console.pages.limits.front import front
from keyhall.console.render import THEMES
from keyhall.flows.accounts import sessions
from keyhall.stores import organizations

ORGANIZATIONS_MAX = 200
YEAR_SECONDS = 365 * 86_400


async def home(ask: Ask) -> Response:
    if ask.who is None:
        return await show_sign_in(ask)
    return await front(ask)


async def show_switch(ask: Ask) -> Response:
    others = []
    if ask.person.sign_in.is_operator:
        async with ask.store.reading() as connection:
            others = await organizations.list_organizations(connection, ORGANIZATIONS_MAX)
    mine = {each.organization_id for each in ask.person.memberships}
    return ask.page("switch.html", others=[each for each in others if each.id not in mine])


async def switch(ask: Ask) -> Response:
    await sessions.look_at(ask.console.desk, ask.person, ask.text("organization"))
    return ask.go("/")


async def theme(ask: Ask) -> Response:
    wanted = ask.text("theme")
    response = ask.go(inside(ask.text("next") or "/"))
    if wanted in THEMES:
        ask.keep(response, THEME, wanted, YEAR_SECONDS)
    return response


ROUTES = (
    Page("GET", "/", home, "anyone"),
    Page("GET", "/switch", show_switch, "signed-in"),
    Page("POST", "/switch", switch, "signed-in"),
    Page("POST", "/theme", theme, "anyone"),
)
