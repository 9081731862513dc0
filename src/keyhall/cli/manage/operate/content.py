"""`keyhall content`: conversations that are kept because their owners said so.

REQUEST is a request's id, as a header, an answer or a list has it.
"""

import unicodedata
from typing import Any

import click
import msgspec

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.content import conversation, erasing
from keyhall.flows.content.view import Seen, id_of, view_content
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.flows.manage.organizations import organization_by
from keyhall.ports.content import KeptFacts, Unreadable
from keyhall.ports.people import Sight
from keyhall.stores import organizations as owners
from keyhall.stores.content import rows, standing
from keyhall.stores.content.sealing import Vault

LISTED = 50
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


@click.group()
def content() -> None:
    """List, show and erase conversations that are kept.

    Only those of keys whose project keeps any: `keyhall projects retention PROJECT 30d`.
    """


def _json_of(each: KeptFacts) -> dict[str, Any]:
    return {
        "request": f"req_{each.id}",
        "kind": each.kind,
        "organization": each.organization_id,
        "project": each.project_id,
        "key": each.key_id,
        "account": each.account_id,
        "version": each.version,
        "said_at": words.stamp(each.created_at_us),
        "kept_until": words.stamp(each.until_us),
        "bytes": each.bytes,
    }


@content.command("list")
@click.option("--organization", metavar="ORGANIZATION", help="Id or name.  [the first one]")
@click.option(
    "--limit", default=LISTED, show_default=True, type=click.IntRange(1), help="At most so many."
)
@options
def list_content(organization: str | None, limit: int, as_json: bool, where: Where) -> None:
    """List what is kept, newest first: whose it is and until when, not what was said."""

    async def work(house: House) -> tuple[list[KeptFacts], int]:
        async with house.store.reading() as connection:
            if organization is None:
                project = await owners.default_project(connection)
                owner_id = "" if project is None else project.organization_id
            else:
                owner_id = (await organization_by(connection, organization)).id
            found = await rows.newest(connection, owner_id, house.now_us, limit=limit)
            return found, await rows.count(connection, owner_id, house.now_us) - len(found)

    found, beyond = act(where, work)
    if as_json:
        show.as_json([_json_of(each) for each in found])
        return
    if not found:
        show.line("Nothing is kept.")
        return
    show.table(
        ("Request", "Key", "Version", "Said (UTC)", "Until (UTC)", ("Bytes", "right")),
        [
            (
                f"req_{each.id}",
                each.key_id,
                each.version,
                words.when(each.created_at_us),
                words.when(each.until_us),
                f"{each.bytes:,}",
            )
            for each in found
        ],
    )
    if beyond:
        show.line(f"\n{beyond:,} more: --limit {limit + beyond} shows all.")


@content.command("show")
@click.argument("request")
@click.option("--why", required=True, help="For its owner, who reads it in their audit.")
@options
def show_content(request: str, why: str, as_json: bool, where: Where) -> None:
    """Show what was said in REQUEST. Its owner sees in their audit that you looked, and why."""
    id = id_of(request)

    async def work(house: House) -> Seen:
        async with house.store.reading() as connection:
            owner_id = await rows.organization_of(connection, id)
        vault = Vault(house.peppers)
        try:
            found = owner_id and await view_content(
                house.store, vault, Sight(owner_id), id, why, **house.by
            )
        except Unreadable as error:
            raise Refused(str(error)) from None
        if not found:
            raise NotFound(f"Nothing is kept of req_{id}.")
        return found

    found = act(where, work)
    if as_json:
        whole = msgspec.to_builtins(found.conversation)
        show.as_json({"request": f"req_{id}", "version": found.kept.version, **whole})
        return
    for who, said in conversation.turns(found.conversation):
        show.line(f"{_harmless(who)}: {_harmless(said)}")


def _harmless(text: str) -> str:
    """What strangers wrote, for a terminal: nothing that moves its cursor or hides."""
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character) not in _UNSEEN
        else "\ufffd"
        for character in text
    )


@content.command()
@click.argument("what", type=click.Choice(["request", "key", "project", "organization"]))
@click.argument("name")
@options
def erase(what: str, name: str, as_json: bool, where: Where) -> None:
    """Erase what is kept of a request, or of a key, project or organization by id or name.

    At once and for good. Of an organization its content key is destroyed, too.
    """

    async def work(house: House) -> int:
        by: Any = {"actor": house.by["actor"], "clock": house.clock}
        if what == "request":
            id = id_of(name)
            async with house.store.reading() as connection:
                owner_id = await rows.organization_of(connection, id)
                owner_id = owner_id or await standing.asked_in(connection, id)
            return await erasing.of_request(house.store, owner_id or "", id, **by)
        erase_of = {
            "key": erasing.of_key,
            "project": erasing.of_project,
            "organization": erasing.of_organization,
        }[what]
        return await erase_of(house.store, name, **by)

    gone = act(where, work)
    if as_json:
        show.as_json({"erased": gone})
    elif not gone:
        show.line("Nothing is kept of it, and nothing that was said until now will be.")
    else:
        show.line(f"Erased {words.counted(gone, 'conversation')}.")
