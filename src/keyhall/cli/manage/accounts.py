"""`keyhall accounts`: who signs in to the console, by id or e-mail address.

The way in when there is no mail, and when nobody is left who could help in the console.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.serving import address
from keyhall.flows.accounts import links, resets
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.manage.organizations import default_project, organization_by
from keyhall.flows.people import invitations, members, suspensions
from keyhall.policy.people.roles import ROLES, SAYS
from keyhall.policy.secrets import Secret
from keyhall.ports.people import Membership, SignIn
from keyhall.stores.accounts import people

LISTED = 100


@click.group()
def accounts() -> None:
    """List, invite, suspend and help the people who sign in to the console."""


def _url(house: House) -> str:
    """Where people find the server: as the one that runs on the folder says it, or as `keyhall
    serve` would."""
    from keyhall.cli.serve import url_of

    server = house.config.server
    return server.url.rstrip("/") or address(house.config.data) or url_of(server, server.port)


def _state(found: SignIn) -> str:
    if found.suspended_at_us is not None:
        return "suspended"
    return "active" if found.has_password else "invited"


def named(found: SignIn) -> str:
    return f"{found.account.id} ({found.account.email or found.account.name})"


def json_of(found: SignIn) -> dict[str, Any]:
    return {
        "id": found.account.id,
        "name": found.account.name,
        "email": found.account.email,
        "state": _state(found),
        "operator": found.is_operator,
        "second_factor": found.has_totp,
        "email_verified_at": words.stamp(found.email_verified_at_us),
        "suspended_at": words.stamp(found.suspended_at_us),
        "last_seen_at": words.stamp(found.last_seen_us),
        "created_at": words.stamp(found.account.created_at_us),
    }


@accounts.command("list")
@click.option(
    "--limit", default=LISTED, show_default=True, type=click.IntRange(1), help="At most so many."
)
@options
def list_accounts(limit: int, as_json: bool, where: Where) -> None:
    """List accounts, oldest first."""

    async def work(house: House) -> tuple[list[SignIn], int]:
        async with house.store.reading() as connection:
            return await people.list_accounts(connection, limit), house.now_us

    found, now_us = act(where, work)
    if as_json:
        show.as_json([json_of(each) for each in found])
        return
    if not found:
        show.line("Nobody has an account yet: `keyhall accounts set-up-link` prints a way in.")
        return
    show.table(
        ("ID", ("Name", "wrap"), ("E-mail", "wrap"), "State", "Operator", "Last seen"),
        [
            (
                each.account.id,
                each.account.name,
                each.account.email or "",
                _state(each),
                "yes" if each.is_operator else "",
                words.ago(each.last_seen_us, now_us),
            )
            for each in found
        ],
    )


@accounts.command("show")
@click.argument("account")
@options
def show_account(account: str, as_json: bool, where: Where) -> None:
    """Show an account and where it is a member."""

    async def work(house: House) -> tuple[SignIn, tuple[Membership, ...]]:
        async with house.store.reading() as connection:
            found = await suspensions.account_by(connection, account)
            return found, await people.memberships(connection, found.account.id)

    found, mine = act(where, work)
    if as_json:
        memberships = [{"organization": each.organization_id, "role": each.role} for each in mine]
        show.as_json({**json_of(found), "memberships": memberships})
        return
    state = _state(found)
    if found.suspended_at_us is not None:
        state += f" since {words.when(found.suspended_at_us)} UTC"
    listed = [f"{each.role} of {each.organization_name} ({each.organization_id})" for each in mine]
    show.facts(
        (
            ("Id", found.account.id),
            ("Name", found.account.name),
            ("E-mail", found.account.email or "none"),
            ("State", state),
            ("Operator", "yes" if found.is_operator else "no"),
            ("Second factor", "on" if found.has_totp else "off"),
            (
                "Last seen",
                f"{words.when(found.last_seen_us)} UTC" if found.last_seen_us else "never",
            ),
            ("Created", f"{words.when(found.account.created_at_us)} UTC"),
            ("Member", ", ".join(listed) or "of nothing"),
        )
    )


# --- Links ----------------------------------------------------------------------------------------


def _link(as_json: bool, link: Secret, says: str) -> None:
    if as_json:
        show.as_json({"url": link.reveal()})
    else:
        show.strong(link.reveal())
        show.line(says)


@accounts.command("set-up-link")
@options
def set_up_link(as_json: bool, where: Where) -> None:
    """Print a new link that makes the first account, while nobody runs the server.

    Links before it stop working.
    """

    async def work(house: House) -> Secret:
        found = await links.set_up(house.store, _url(house), house.now_us)
        if found is None:
            raise Invalid(
                "Somebody runs this server already: `keyhall accounts list` shows who. They invite "
                "others, or `keyhall accounts invite` does."
            )
        return found

    _link(as_json, act(where, work), "It works once, within 7 days, and makes the operator.")


@accounts.command()
@click.option("--email", default="", help="Only this address may use the invitation.")
@click.option(
    "--role", default="member", show_default=True, type=click.Choice(ROLES), help="What it makes."
)
@click.option("--organization", metavar="ID", help="By id or name.  [the first run's]")
@options
def invite(email: str, role: str, organization: str | None, as_json: bool, where: Where) -> None:
    """Print a link that makes somebody a member of an organization."""
    wanted = members.role_called(role)

    async def work(house: House) -> Secret:
        async with house.store.writing() as connection:
            if organization is None:
                organization_id = (await default_project(connection)).organization_id
            else:
                organization_id = (await organization_by(connection, organization)).id
            url = _url(house)
            link, _ = await invitations.make(
                connection, organization_id, wanted, email, url, **house.by
            )
        return link

    whom = email or "whoever opens it"
    an = "an" if role in ("owner", "admin") else "a"
    says = f"It works once, within 14 days, and makes {whom} {an} {role}. {SAYS[wanted]}"
    _link(as_json, act(where, work), says)


@accounts.command("reset-link")
@click.argument("account")
@click.option(
    "--second-factor-off", is_flag=True, help="For who has lost phone and recovery codes."
)
@options
def reset_link(account: str, second_factor_off: bool, as_json: bool, where: Where) -> None:
    """Print a link with which somebody chooses a new password. It needs no mail.

    Using it ends all their sessions. A second factor stays on unless you say otherwise: be sure
    who asks.
    """

    async def work(house: House) -> Secret:
        async with house.store.writing() as connection:
            found = await suspensions.account_by(connection, account)
            return await resets.hand_over(
                connection, found, _url(house), second_factor_off=second_factor_off, **house.by
            )

    _link(as_json, act(where, work), "It works once, within 30 minutes: hand it to them.")


# --- States ---------------------------------------------------------------------------------------


def _changed(
    where: Where,
    as_json: bool,
    work: Callable[[House], Awaitable[SignIn]],
    says: Callable[[SignIn], str],
) -> None:
    found = act(where, work)
    if as_json:
        show.as_json(json_of(found))
    else:
        show.line(says(found))


@accounts.command()
@click.argument("account")
@options
def suspend(account: str, as_json: bool, where: Where) -> None:
    """End somebody's sessions and let them sign in no more, until resumed. Their keys work on."""
    _changed(
        where,
        as_json,
        lambda house: suspensions.suspend(house.store, account, **house.by),
        lambda found: f"Suspended {named(found)}: all its sessions have ended. Its keys work on; "
        f"`keyhall keys pause` stops them. `keyhall accounts resume {found.account.id}` ends it.",
    )


@accounts.command()
@click.argument("account")
@options
def resume(account: str, as_json: bool, where: Where) -> None:
    """Let somebody sign in again."""
    _changed(
        where,
        as_json,
        lambda house: suspensions.resume(house.store, account, **house.by),
        lambda found: f"Resumed {named(found)}.",
    )


@accounts.command()
@click.argument("account")
@click.argument("state", type=click.Choice(("on", "off")))
@options
def operator(account: str, state: str, as_json: bool, where: Where) -> None:
    """Let somebody run the server in the console, or no more."""
    _changed(
        where,
        as_json,
        lambda house: suspensions.set_operator(house.store, account, state == "on", **house.by),
        lambda found: f"{named(found)} {'runs' if found.is_operator else 'does not run'} this "
        "server, from their next page on.",
    )
