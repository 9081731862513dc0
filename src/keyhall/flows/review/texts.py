"""What callers and reviewers write, as documents that are kept where conversations are.

`note`: the words of the latest feedback. `held`: a conversation whose answer waits for a person;
`answer`: that answer as it will be sent. `review`: the corrections and notes of an item's reviews.
All are encrypted; of the last three nothing is its caller's to read before it is decided.
"""

from dataclasses import dataclass, replace

import msgspec
from msgspec import structs

from keyhall.flows.content import conversation
from keyhall.policy.content.retention import DAY_US
from keyhall.ports.content import Content, ContentKind, Kept
from keyhall.ports.review import Answered, Item, Made
from keyhall.wire.moderation.within import ModeratedCompletion

FEEDBACK_DAYS = 90  # its sender wrote it to be read; somebody may be on holiday
FETCH_US = DAY_US  # so long after a decision a caller may still fetch the answer
EXPORT_US = 90 * DAY_US  # so long reviewed pairs can be exported, where the project gave leave


class Said(msgspec.Struct, omit_defaults=True):
    """The words of feedback."""

    correction: str | None = None
    comment: str | None = None


class Answer(msgspec.Struct):
    """As it will be sent, and until when retention keeps it from then on; 0: not at all."""

    completion: ModeratedCompletion
    keep_until_us: int = 0


class Written(msgspec.Struct, omit_defaults=True):
    """The words of a review; `who` and `at_us` say of which."""

    who: str
    at_us: int
    text: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    """Reads and writes them. One person at a time writes to an item: who has claimed it."""

    content: Content

    def _kept(
        self, of: Answered | Item, kind: ContentKind, document: bytes, at_us: int, until_us: int
    ) -> Kept:
        return Kept(
            id=of.request_id,
            organization_id=of.organization_id,
            project_id=of.project_id,
            key_id=of.key_id,
            account_id=of.account_id,
            version=of.version,
            created_at_us=at_us,
            keep_until_us=until_us if kind == "note" else 0,
            held_until_us=0 if kind == "note" else until_us,
            conversation=document,
            kind=kind,
        )

    async def _read(self, request_id: str, organization_id: str, kind: ContentKind) -> bytes:
        kept = await self.content.read(request_id, organization_id, kind)
        return b"" if kept is None else kept.conversation

    async def write_feedback(self, of: Answered, said: Said, now_us: int) -> bool:
        """Whether it is kept: an operator may keep nothing for anybody."""
        days = min(FEEDBACK_DAYS, self.content.days_max)
        if not days:
            return False
        document = msgspec.json.encode(said)
        until_us = now_us + days * DAY_US
        await self.content.write([self._kept(of, "note", document, now_us, until_us)])
        return True

    async def feedback(self, request_id: str, organization_id: str) -> Said:
        found = await self._read(request_id, organization_id, "note")
        return msgspec.json.decode(found, type=Said) if found else Said()

    async def write_held(self, item: Item, answer: Answer, said: bytes) -> None:
        """An answer that waits, and the conversation that it ends: for reviewers."""
        at_us, until_us = item.entered_at_us, item.deadline_us + FETCH_US
        document = msgspec.json.encode(answer)
        await self.content.write(
            [
                self._kept(item, "held", said, at_us, until_us),
                self._kept(item, "answer", document, at_us, until_us),
            ]
        )

    async def answer(self, item: Item) -> Answer | None:
        """None: its time is over."""
        found = await self._read(item.request_id, item.organization_id, "answer")
        return msgspec.json.decode(found, type=Answer) if found else None

    async def keep_released(self, item: Item, answer: Answer, now_us: int) -> None:
        """Its caller has it: from now on it is kept as long as retention says, if at all."""
        held = await self.content.read(item.request_id, item.organization_id, "held")
        if held is None or answer.keep_until_us <= now_us:
            return
        said = conversation.decode(held.conversation)
        released = structs.replace(said, answers=answer.completion.choices)
        document = msgspec.json.encode(released)
        kept = self._kept(item, "conversation", document, held.created_at_us, 0)
        await self.content.write([replace(kept, keep_until_us=answer.keep_until_us)])

    async def write_review(self, item: Item, written: Written) -> None:
        before = await self.reviews(item)
        until_us = item.deadline_us + FETCH_US
        document = msgspec.json.encode([*before, written])
        await self.content.write(
            [self._kept(item, "review", document, item.entered_at_us, until_us)]
        )

    async def reviews(self, item: Item) -> list[Written]:
        found = await self._read(item.request_id, item.organization_id, "review")
        return msgspec.json.decode(found, type=list[Written]) if found else []

    async def review_of(self, item: Item, made: Made) -> Written | None:
        """What somebody wrote with this review."""
        return text_of(await self.reviews(item), made)


def text_of(written: list[Written], made: Made) -> Written | None:
    same = (each for each in written if (each.who, each.at_us) == (made.who, made.at_us))
    return next(same, None)
