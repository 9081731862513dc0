"""What is kept about an account: all of it as a file, and the end of it."""

from starlette.responses import Response, StreamingResponse

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.flows.accounts import deletion, my_data
from keyhall.flows.accounts.desk import SlowDown
from keyhall.flows.manage.checks import Refused
from keyhall.policy.secrets import Secret


async def export(ask: Ask) -> Response:
    account_id = ask.person.account.id
    headers = {"content-disposition": f'attachment; filename="keyhall-{account_id}.json"'}
    body = my_data.everything(ask.console.desk, account_id, ask.sits)
    return StreamingResponse(body, media_type="application/json", headers=headers)


async def _page(ask: Ask, fault: str = "") -> Response:
    problem = await deletion.problem(ask.console.desk, ask.person.sign_in)
    return ask.page(
        "account/delete.html",
        400 if fault else 200,
        account=ask.person.account,
        problem=problem,
        fault=fault,
    )


async def show_delete(ask: Ask) -> Response:
    return await _page(ask)


async def do_delete(ask: Ask) -> Response:
    password = Secret(ask.text("password"))
    try:
        await deletion.delete(
            ask.console.desk, ask.person.sign_in, ask.text("name"), password, ask.sits
        )
    except SlowDown:
        raise
    except Refused as error:
        return await _page(ask, str(error))
    return ask.let_out(ask.go("/sign-in", "Your account was deleted, and its keys were revoked."))


ROUTES = (
    Page("GET", "/account/export", export, "signed-in"),
    Page("GET", "/account/delete", show_delete, "signed-in"),
    Page("POST", "/account/delete", do_delete, "signed-in"),
)
