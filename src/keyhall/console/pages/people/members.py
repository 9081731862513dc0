"""Members and invitations."""

from starlette.responses import Response

from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.flows.accounts import letters, sign_in
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.flows.people import invitations, members, suspensions
from keyhall.policy.people import letting_in
from keyhall.policy.people.roles import ROLES, SAYS, may_change, may_give
from keyhall.ports.people import Member
from keyhall.stores.accounts import classes, people, sessions

LISTED = 50
AFTER_DIGITS_MAX = 6
INVITATIONS_LISTED = 100


async def _page(ask: Ask, *, fault: str = "", invited: dict[str, str] | None = None) -> Response:
    who, sought = ask.person, ask.query("q").strip()
    organization_id, skipped = who.sight.organization_id, ask.query("after")
    is_number = skipped.isascii() and skipped.isdigit() and len(skipped) <= AFTER_DIGITS_MAX
    after = int(skipped) if is_number else 0
    async with ask.store.reading() as connection:
        total = await people.count_members(connection, organization_id)
        found = await people.members_of(
            connection, organization_id, LISTED + 1, sought=sought, after=after
        )
        opened = await sessions.open_links(
            connection, organization_id=organization_id, kind="invite", now_us=ask.now_us
        )
        taught = await classes.with_keys(connection, organization_id, ask.now_us)
    single = [each for each in opened if each.facts is None]
    return ask.page(
        "people/people.html",
        400 if fault else 200,
        total=total,
        listed=[(each, _roles_for(ask, each)) for each in found[:LISTED]],
        before=None if after == 0 else max(0, after - LISTED),
        beyond=after + LISTED if len(found) > LISTED else None,
        sought=sought,
        opened=single[:INVITATIONS_LISTED],
        more_opened=max(0, len(single) - INVITATIONS_LISTED),
        classes=taught,
        roles=[each for each in ROLES if who.role is not None and may_give(who.role, each)],
        says=SAYS,
        may_write=who.may("people.write"),
        has_mail=ask.console.desk.has_mail,
        given={"email": ask.text("email"), "role": ask.text("role") or "member"},
        fault=fault,
        invited=invited,
    )


def _roles_for(ask: Ask, member: Member) -> list[str]:
    """What a member may be made by whoever looks; empty: nothing."""
    mine = ask.person.role
    if mine is None or not ask.person.may("people.write"):
        return []
    return [each for each in ROLES if may_change(mine, member.role, each)]


async def show(ask: Ask) -> Response:
    return await _page(ask)


async def _pace(ask: Ask) -> None:
    """Letters to whoever is named are not sent by the thousand. Raises SlowDown."""
    email = letting_in.email(ask.text("email"))
    if ask.console.desk.has_mail and email is not None:
        subjects = sign_in.invitations_to(email, ask.person.organization_id)
        await sign_in.begin_try(ask.console.desk, subjects)


async def do_invite(ask: Ask) -> Response:
    desk = ask.console.desk
    await _pace(ask)
    try:
        role = members.role_called(ask.text("role"))
        link, email = await invitations.invite(
            ask.store, ask.person, role, ask.text("email"), desk.url, **ask.by
        )
    except Refused as error:
        return await _page(ask, fault=str(error))
    shown = {"link": link.reveal(), "email": email or "", "role": role, "unsent": ""}
    if email is not None and desk.has_mail:
        name = ask.person.organization_name
        text = letters.invitation_text(name, link)
        unsent = await letters.send(desk, email, f"you are invited to {name}", text)
        if unsent is None:
            return ask.go("/people#invitations", f"An invitation was sent to {email}.")
        shown["unsent"] = unsent
    return await _page(ask, invited=shown)


async def do_withdraw(ask: Ask) -> Response:
    organization_id = ask.person.sight.organization_id
    await invitations.withdraw(ask.store, organization_id, ask.path("link"), **ask.by)
    return ask.go("/people#invitations", "The invitation was withdrawn. Its link is good no more.")


async def do_role(ask: Ask) -> Response:
    role = members.role_called(ask.text("role"))
    await members.change_role(ask.store, ask.person, ask.path("account"), role, **ask.by)
    return ask.go("/people", f"From their next page on they are {role}.")


async def _member(ask: Ask) -> Member:
    async with ask.store.reading() as connection:
        found = await people.member(
            connection, ask.person.sight.organization_id, ask.path("account")
        )
    if found is None:
        raise NotFound("There is no such member.")
    return found


async def show_remove(ask: Ask) -> Response:
    member = await _member(ask)
    is_me = member.sign_in.account.id == ask.person.account.id
    return ask.page("people/remove.html", member=member, is_me=is_me)


async def do_remove(ask: Ask) -> Response:
    member = await _member(ask)
    then: members.KeysThen = "hand-over" if ask.text("keys") == "hand-over" else "revoke"
    account_id = member.sign_in.account.id
    count = await members.remove(ask.store, ask.person, account_id, then, **ask.by)
    done = "are yours now" if then == "hand-over" else "were revoked"
    said = f" {count} keys {done}." if count else ""
    where = "/" if account_id == ask.person.account.id else "/people"
    return ask.go(where, f"{member.sign_in.account.name} is no member any more.{said}")


async def do_suspend(ask: Ask) -> Response:
    """An operator's act: the account is suspended everywhere."""
    member = await _member(ask)
    await suspensions.suspend(ask.store, member.sign_in.account.id, **ask.by)
    name = member.sign_in.account.name
    return ask.go("/people", f"{name} is suspended, and their sessions have ended.")


async def do_resume(ask: Ask) -> Response:
    member = await _member(ask)
    await suspensions.resume(ask.store, member.sign_in.account.id, **ask.by)
    return ask.go("/people", f"{member.sign_in.account.name} may sign in again.")


ROUTES = (
    Page("GET", "/people", show, "people.read"),
    Page("POST", "/people/invite", do_invite, "people.write"),
    Page("POST", "/people/invitations/{link}/withdraw", do_withdraw, "people.write"),
    Page("POST", "/people/{account}/role", do_role, "people.write"),
    Page("GET", "/people/{account}/remove", show_remove, "people.write"),
    Page("POST", "/people/{account}/remove", do_remove, "people.write"),
    Page("POST", "/people/{account}/suspend", do_suspend, "operate"),
    Page("POST", "/people/{account}/resume", do_resume, "operate"),
)
