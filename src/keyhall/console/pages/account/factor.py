"""Switching the second factor on and off."""

import segno
from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.entrance import proved
from keyhall.flows.accounts import second_factor
from keyhall.flows.accounts.desk import SlowDown
from keyhall.flows.manage.checks import Refused
from keyhall.policy.secrets import Secret
from keyhall.stores.accounts import people


async def _page(ask: Ask, fault: str = "") -> Response:
    account = ask.person.account
    secret = await second_factor.waiting(ask.console.desk, account.id)
    picture, spelled = "", ""
    if secret is not None:
        host = ask.console.url.partition("://")[2]
        said = second_factor.address(secret, account, f"Keyhall {host}")
        code = segno.make(said.reveal(), error="m", micro=False)
        picture = code.svg_data_uri(scale=5, dark="#000", light="#fff", border=4)
        text = secret.reveal()
        spelled = " ".join(text[at : at + 4] for at in range(0, len(text), 4))
    async with ask.store.reading() as connection:
        _, _, _, codes = await people.second_factor(connection, account.id)
    return ask.page(
        "account/factor.html",
        400 if fault else 200,
        is_on=ask.person.sign_in.has_totp,
        picture=picture,
        spelled=spelled,
        codes_left=len(codes),
        fault=fault,
    )


async def show(ask: Ask) -> Response:
    return await _page(ask)


async def do_begin(ask: Ask) -> Response:
    try:
        await second_factor.begin(
            ask.console.desk, ask.person.account, Secret(ask.text("password")), ask.sits
        )
    except SlowDown:
        raise
    except Refused as error:
        return await _page(ask, str(error))
    return await proved(ask, ask.go("/account/second-factor"))


async def do_confirm(ask: Ask) -> Response:
    try:
        codes = await second_factor.confirm(
            ask.console.desk, ask.person.account, ask.text("code"), ask.sits
        )
    except Refused as error:
        return await _page(ask, str(error))
    page = ask.page("account/codes.html", codes=codes, lead="Your second factor is on.")
    return await proved(ask, page)


async def do_new_codes(ask: Ask) -> Response:
    try:
        codes = await second_factor.new_codes(
            ask.console.desk, ask.person.account, Secret(ask.text("password")), ask.sits
        )
    except SlowDown:
        raise
    except Refused as error:
        return await _page(ask, str(error))
    page = ask.page("account/codes.html", codes=codes, lead="The codes before these are over.")
    return await proved(ask, page)


async def do_off(ask: Ask) -> Response:
    try:
        await second_factor.turn_off(
            ask.console.desk, ask.person.account, Secret(ask.text("password")), ask.sits
        )
    except SlowDown:
        raise
    except Refused as error:
        return await _page(ask, str(error))
    return await proved(ask, ask.go("/account#second-factor", "Your second factor is off."))


ROUTES = (
    Page("GET", "/account/second-factor", show, "signed-in"),
    Page("POST", "/account/second-factor/begin", do_begin, "signed-in"),
    Page("POST", "/account/second-factor/confirm", do_confirm, "signed-in"),
    Page("POST", "/account/second-factor/codes", do_new_codes, "signed-in"),
    Page("POST", "/account/second-factor/off", do_off, "signed-in"),
)
