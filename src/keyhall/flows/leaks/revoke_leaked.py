"""Keys whose full text somebody has shown: looked up, revoked, and their owners told.

Whoever shows a key has it, and could use it: ending it takes nothing from its owner that was not
lost. A key that is revoked already stays as it is and is answered the same, so a report may come
any number of times. All of a report's keys are looked up in one query, known or not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from keyhall.policy import keys as form
from keyhall.policy.leaks.finding import inert
from keyhall.ports.notices import Reporter, Seen
from keyhall.ports.records import Actor, Key
from keyhall.stores import keys as rows
from keyhall.stores import notes
from keyhall.stores.leaks import notices
from keyhall.stores.sql import SqlStore
from keyhall.wire.leaks.reports import State

URL_CHARACTERS_MAX = 500
SOURCE_CHARACTERS_MAX = 60
REASON = "leaked"

Digests = Callable[[bytes], Sequence[bytes]]  # of a key under every pepper


@dataclass(frozen=True, slots=True)
class Where:
    """Where a key was seen, as its reporter says, and who that is."""

    url: str
    source: str
    by: Reporter

    def inert(self) -> "Where":
        return Where(
            inert(self.url, URL_CHARACTERS_MAX), inert(self.source, SOURCE_CHARACTERS_MAX), self.by
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of the keys of a report."""

    states: dict[str, State]  # by text
    keys: dict[str, Key]  # those that are ours, by text, as they were before
    revoked: list[str]  # ids of those that were revoked now


async def look(store: SqlStore, texts: Sequence[str], digests: Digests) -> dict[str, Key]:
    """Whose keys these are, by text; what is no key of ours is not among them."""
    by_digest = {
        digest: text
        for text in dict.fromkeys(texts)
        if form.parse(text) is not None
        for digest in digests(text.encode())
    }
    async with store.reading() as connection:
        found = await notices.keys_of(connection, list(by_digest))
    return {by_digest[digest]: key for digest, key in found.items()}


async def revoke_leaked(
    store: SqlStore,
    seen: Sequence[tuple[str, Where]],
    digests: Digests,
    *,
    with_test: bool,
    actor: Actor,
    now_us: int,
) -> Ended:
    """Revoke those that live. `seen` are keys' texts, each with where it was seen; of one that is
    there twice the first counts."""
    where: dict[str, Where] = {}
    for text, place in seen:
        where.setdefault(text, place)
    found = await look(store, list(where), digests)
    kept = {text for text, key in found.items() if key.mode == "test" and not with_test}
    states: dict[str, State] = {
        text: "kept" if text in kept and found[text].revoked_at_us is None else "revoked"
        for text in found
    }
    live = [
        (key, where[text])
        for text, key in found.items()
        if key.revoked_at_us is None and text not in kept
    ]
    ended = await _end(store, live, actor, now_us) if live else []
    return Ended({text: states.get(text, "unknown") for text in where}, found, ended)


async def _end(
    store: SqlStore, live: Sequence[tuple[Key, Where]], actor: Actor, now_us: int
) -> list[str]:
    """Evidence, revocation and notice stand in one transaction."""
    async with store.writing() as connection:
        ended: list[tuple[Key, Where]] = []
        for each, place in live:
            key = await rows.find(connection, each.id)
            if key is not None and key.revoked_at_us is None:
                ended.append((key, place.inert()))
        ids = [key.id for key, _ in ended]
        await rows.set_all(connection, ids, revoked_at_us=now_us, revoked_reason=REASON)
        seen = [
            (key.id, None, Seen(key.organization_id, place.url, place.source, place.by))
            for key, place in ended
        ]
        await notes.record_all(connection, actor, now_us, action="key.leaked", done=seen)
        done = [
            (key.id, key, replace(key, revoked_at_us=now_us, revoked_reason=REASON))
            for key, _ in ended
        ]
        await notes.record_all(
            connection, actor, now_us, action="key.revoke", done=done, changed="key"
        )
        facts = [
            (key, {"url": place.url, "source": place.source, "by": place.by})
            for key, place in ended
        ]
        await notices.add(connection, "leaked", facts, now_us)
    return ids
