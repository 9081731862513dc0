"""The copy of an answer that is to be kept, while it comes."""

from collections.abc import Callable

from keyhall.ports.content import CONTENT_BYTES_MAX
from keyhall.wire import chat_gather
from keyhall.wire.chat import ChatRequest, Choice, Chunk, Completion
from keyhall.wire.chat_gather import Gatherer
from keyhall.wire.chat_write import Stamp


class _Heard(Stamp):
    """A stamp that lets somebody hear what it encodes."""

    __slots__ = ("_hear",)

    def __init__(self, stamp: Stamp, hear: Callable[[list[Chunk]], None]) -> None:
        self.like(stamp)
        self._hear = hear

    def encode(self, chunks: list[Chunk]) -> bytes:
        self._hear(chunks)
        return super().encode(chunks)


class Copy:
    """Of one request whose owner wants it kept, or that a review waits for: the latter says until
    when, in `held_until_us`. A stream is heard from its first chunk on, so whoever wants one copied
    says so before that."""

    __slots__ = ("_characters", "_choices", "_gathered", "_whole", "held_until_us", "request")

    def __init__(self, choices: int) -> None:
        self.held_until_us = 0
        self.request: ChatRequest | None = None  # as the engine got it
        self._choices = choices
        self._whole: Completion | None = None
        self._gathered = Gatherer(choices)
        self._characters = 0

    def clear(self) -> None:
        """Another engine begins anew."""
        self._whole = None
        self._gathered = Gatherer(self._choices)
        self._characters = 0

    def stamp(self, stamp: Stamp) -> Stamp:
        """The same stamp, and what it is given to send is heard: neither more nor less is kept."""
        return _Heard(stamp, self.hear)

    def hear(self, chunks: list[Chunk]) -> None:
        self._characters += sum(map(chat_gather.characters, chunks))
        if self._characters <= CONTENT_BYTES_MAX:
            self._gathered.feed(chunks)

    def saw(self, completion: Completion) -> None:
        self._whole = completion

    def answers(self) -> list[Choice] | None:
        """What has been answered. None: more than is ever kept."""
        if self._whole is not None:
            return self._whole.choices
        if self._characters > CONTENT_BYTES_MAX:
            return None
        return self._gathered.completion(None).choices
