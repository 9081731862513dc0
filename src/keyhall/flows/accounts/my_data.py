"""Everything kept about an account, as one JSON document, at once.

It comes in pieces: whoever has made a million requests takes them all along. What lets somebody in
(hashes, digests, the second factor) is nobody's to read, and is left out.
"""

from collections.abc import AsyncIterator

import msgspec

from keyhall.flows.accounts.desk import Desk
from keyhall.stores.accounts import kept

_LONG = ("requests", "refusals", "audit")


async def everything(desk: Desk, account_id: str) -> AsyncIterator[bytes]:
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
    yield b"\n}\n"
