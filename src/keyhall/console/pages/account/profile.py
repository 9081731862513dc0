"""The account's own page: profile, address, password, sessions, appearance."""

from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.entrance import proved
from keyhall.flows.accounts import profile
from keyhall.flows.accounts.desk import SlowDown
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.policy.people.browsers import in_words
from keyhall.policy.secrets import Secret
from keyhall.stores.accounts import people, sessions


async def _page(ask: Ask, faults: Mapping[str, str], status: int = 200) -> Response:
    account = ask.person.account
    async with ask.store.reading() as connection:
        mine = await sessions.of_account(connection, account.id, ask.now_us)
        _, _, _, codes = await people.second_factor(connection, account.id)
    listed = [(each, in_words(each.user_agent)) for each in mine if not each.is_pending]
    return ask.page(
        "account/account.html",
        status,
        account=account,
        sign_in=ask.person.sign_in,
        listed=listed,
        codes_left=len(codes),
        has_mail=ask.console.desk.has_mail,
        faults=faults,
        given={"name": ask.text("name") or account.name, "email": ask.text("email")},
        terms_url=ask.console.desk.terms_url,
    )


async def show(ask: Ask) -> Response:
    return await _page(ask, {})


async def _done(
    ask: Ask, field: str, work: Awaitable[Any], said: str, place: str, *, is_proof: bool = False
) -> Response:
    """To the page again, with what was done; or with the fault beside its field."""
    try:
        found = await work
    except (SlowDown, NotFound):
        raise
    except Refused as error:
        return await _page(ask, {field: str(error)}, 400)
    response = ask.go(f"/account#{place}", said or str(found))
    return await proved(ask, response) if is_proof else response


async def do_profile(ask: Ask) -> Response:
    work = profile.rename(ask.console.desk, ask.person.account, ask.text("name"), ask.sits)
    return await _done(ask, "name", work, "Your name was changed.", "profile")


async def do_email(ask: Ask) -> Response:
    password = Secret(ask.text("password"))
    work = profile.move(ask.console.desk, ask.person.account, ask.text("email"), password, ask.sits)
    return await _done(ask, "email", work, "", "profile", is_proof=True)


async def do_verify_again(ask: Ask) -> Response:
    account = ask.person.account
    if not ask.console.desk.has_mail or account.email is None:
        raise Refused("No mail server is configured, so nothing can be sent.")
    await profile.send_verification(ask.console.desk, account, account.email, ask.sits)
    return ask.go("/account", f"A letter is on its way to {account.email}.")


async def do_password(ask: Ask) -> Response:
    old, new = Secret(ask.text("password")), Secret(ask.text("new_password"))
    work = profile.change_password(ask.console.desk, ask.person, old, new, ask.sits)
    said = "Your password was changed. All other sessions have ended."
    return await _done(ask, "password", work, said, "password", is_proof=True)


async def do_end(ask: Ask) -> Response:
    session_id = ask.text("session")
    await profile.end_session(ask.console.desk, ask.person, session_id)
    if session_id == ask.person.session.id:
        return ask.let_out(ask.go("/sign-in"))
    return ask.go("/account#sessions", "That session has ended.")


async def do_end_others(ask: Ask) -> Response:
    count = await profile.end_others(ask.console.desk, ask.person)
    said = {0: "There was no other session.", 1: "One other session has ended."}
    return ask.go("/account#sessions", said.get(count, f"{count} other sessions have ended."))


ROUTES = (
    Page("GET", "/account", show, "signed-in"),
    Page("POST", "/account/profile", do_profile, "signed-in"),
    Page("POST", "/account/email", do_email, "signed-in"),
    Page("POST", "/account/email/verify", do_verify_again, "signed-in"),
    Page("POST", "/account/password", do_password, "signed-in"),
    Page("POST", "/account/sessions/end", do_end, "signed-in"),
    Page("POST", "/account/sessions/end-others", do_end_others, "signed-in"),
)
