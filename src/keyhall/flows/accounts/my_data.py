"""Everything kept about an account, as one JSON document, at once.

It comes in pieces: whoever has made a million requests takes them all along. What lets somebody in
(hashes, digests, the second factor) is nobody's to read, and is left out. What their keys said is
in it as far as it is kept; that it was taken along stands in the audit of whose keys they are.
"""

from collections.abc import AsyncIterator

import msgspec

from keyhall.flows.accounts.desk import Desk, From
from keyhall.flows.content import exporting
from keyhall.stores.accounts import kept
from keyhall.stores.content.sealing import Vault

_LONG = ("requests", "refusals", "audit")


async def everything(desk: Desk, account_id: str, sits: From) -> AsyncIterator[bytes]:
    """The document, in pieces."""
    async with desk.store.reading() as connection:
        facts = await kept.facts(connection, account_id)
    key_ids = [each["id"] for each in facts["keys"]]
    head = msgspec.json.format(msgspec.json.encode(facts), indent=2)
    yield head.rstrip().removesuffix(b"}").rstrip()
    for name in _LONG:
        yield f',\n  "{name}": ['.encode()
        before = b"\n    "
        async for page in kept.pages(desk.store, name, account_id, key_ids):
            yield before + b",\n    ".join(map(msgspec.json.encode, page))
            before = b",\n    "
        yield b"\n  ]"
    yield b',\n  "conversations": ['
    before = b"\n    "
    async for each in exporting.conversations(
        desk.store, Vault(desk.peppers), account_id, sits.actor(account_id), desk.clock
    ):
        yield before + each
        before = b",\n    "
    yield b"\n  ]\n}\n"
