"""A notice is closed by whoever owns the key, or looks after its organization."""

from dataclasses import dataclass

from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.policy.leaks.wander import USUAL_MILLI, expected_after
from keyhall.ports.notices import Habits, Notice, NoticeKind
from keyhall.ports.records import Actor, Key
from keyhall.stores import notes
from keyhall.stores.leaks import notices, places
from keyhall.stores.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Closed:
    """What the audit keeps of it."""

    organization_id: str
    kind: NoticeKind
    expected: int | None = None  # networks in an hour, from now on


async def close(
    store: SqlStore, key: Key, number: int, *, is_expected: bool, actor: Actor, now_us: int
) -> Notice:
    """Raises NotFound for one that is not the key's, Invalid for one that is closed. `is_expected`
    raises the bound of a key that wanders."""
    async with store.writing() as connection:
        notice = await notices.find(connection, number)
        if notice is None or notice.key_id != key.id:
            raise NotFound("There is no such notice.")
        if notice.kind == "wandering" and not is_expected:
            raise Invalid("Rotate or revoke the key, or say that you expect it.")
        if not await notices.close(connection, number, actor.who, now_us):
            raise Invalid("Somebody has closed this notice already.")
        expected = None
        if is_expected:
            if notice.kind != "wandering":
                raise Invalid("A key that leaked is not expected to leak.")
            known = (await places.habits(connection, [key.id])).get(key.id)
            known = known or Habits(key.id, USUAL_MILLI, None)
            expected = expected_after(int(notice.facts["networks"]), known.expected)
            habits = Habits(key.id, known.usual_milli, expected)
            await places.keep_habits(connection, [habits])
        closed = Closed(key.organization_id, notice.kind, expected)
        await notes.record(
            connection,
            actor,
            now_us,
            action="notice.close",
            target=key.id,
            before=None,
            after=closed,
        )
        return notice
