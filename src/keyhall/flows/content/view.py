"""A person looks at what was said: never without a row in the audit that its owner can see.

The row is written in the transaction that reads, so there is no way to have the one without the
other; and it says why. Whoever has no right to it gets what they would get if it were not there.
"""

from dataclasses import dataclass

import msgspec

from keyhall.flows.content import conversation
from keyhall.flows.content.conversation import Conversation
from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid
from keyhall.ports.content import ContentKind, Kept, Unreadable
from keyhall.ports.people import Sight
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.content import rows
from keyhall.stores.content.sealing import Vault
from keyhall.stores.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Looked:
    """What the audit says of a look: whose content, and why somebody looked."""

    organization_id: str
    project_id: str
    key_id: str
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Seen:
    kept: Kept
    conversation: Conversation


def id_of(wanted: str) -> str:
    """The 32 digits of a request's id as people have it: of a header, of an answer, or bare."""
    return wanted.strip().removeprefix("req_").removeprefix("chatcmpl-")


async def view_content(
    store: SqlStore,
    vault: Vault,
    sight: Sight,
    id: str,
    why: str,
    *,
    actor: Actor,
    now_us: int,
    kind: ContentKind = "conversation",
) -> Seen | None:
    """What was said in a request in sight; None if nothing is kept of it. Raises Invalid without a
    reason, Unreadable. Nothing that raises or is None leaves a row: nobody has seen anything."""
    reason = checks.reason(why)
    if reason is None:
        raise Invalid("Say why you look: whoever it belongs to reads it in the audit.")
    async with store.writing() as connection:
        kept = await rows.read(connection, vault, id, sight.organization_id, kind, now_us)
        if kept is None or sight.account_id not in (None, kept.account_id):
            return None
        try:
            said = conversation.decode(kept.conversation)
        except msgspec.MsgspecError as error:
            raise Unreadable(f"What was kept of req_{id} has another form: {error}.") from None
        looked = Looked(kept.organization_id, kept.project_id, kept.key_id, kind, reason)
        await notes.record(
            connection,
            actor,
            now_us,
            action="content.view",
            target=f"req_{id}",
            before=None,
            after=looked,
        )
    return Seen(kept, said)
