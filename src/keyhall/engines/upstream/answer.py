"""An upstream's answer: HTTP bodies and SSE events become completions and chunks (R25).

Everything that came in one read of the socket is decoded in one go. What the upstream says of its
own usage is kept aside; errors it reports, in whatever place, become rows of the table. A stream
is whole if it said `[DONE]` or if every choice said why it finished; one that was cut before is
an error, and what had come until then is handed out first.
"""

from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from keyhall.engines.upstream import faults
from keyhall.engines.upstream.call import Call
from keyhall.engines.upstream.faults import Cleaner
from keyhall.errors import ApiError
from keyhall.wire import chat_answer, sse
from keyhall.wire.chat import Chunk, ChunkChoice, Completion, TokenUsage
from keyhall.wire.chat_answer import BadAnswer, UpstreamError, UpstreamFailed

if TYPE_CHECKING:
    from keyhall.engines.upstream.pool import Pool

_DONE = b"[DONE]"


class UpstreamAnswer(Call, kw_only=True):
    """Implements `keyhall.ports.engine.Answer` on a call."""

    choices: int
    pool: "Pool | None"  # None: it has not come to one yet
    cleaner: Cleaner
    produced: int = 0
    usage: TokenUsage | None = None
    _decoder: sse.Decoder | None = None
    _finished: set[int] = msgspec.field(default_factory=set)  # choices that said why they ended
    _is_done: bool = False
    _of_one: tuple[TokenUsage, ...] = ()  # of single choices, where a server tells it so

    @property
    def is_finished(self) -> bool:
        return self._is_done and not self.parts

    async def whole(self) -> Completion:
        while not self.is_over:
            await self.signal
        self._raise_refusal()
        if self.failure is not None:
            raise self.failure
        completion = self._completion()
        if completion.usage is not None:
            self._saw_usage(completion.usage)
        self.produced = 1
        return completion

    async def chunks(self) -> list[Chunk]:
        while True:
            if self.parts and self.streams and self.status == 200:
                chunks = self._decode(self.take())
                if chunks:
                    return chunks
            if self.is_over:
                self._raise_unless_complete()
                return []
            await self.signal

    def close(self) -> None:
        if not self.is_over:
            if self.connection is None and self.pool is not None:
                self.pool.forget(self)
            self.leave()

    def _decode(self, data: bytes) -> list[Chunk]:
        payloads = self._payloads(data)
        is_last = bool(payloads) and payloads[-1] == _DONE
        if is_last:
            payloads.pop()
        read = chat_answer.read_chunks(payloads) if payloads else []
        if read is None:
            read, is_whole = self._read_each(payloads)
            is_last = is_last and is_whole
        if is_last:
            self._is_done = True
            self._stop(None)
        chunks: list[Chunk] = []
        for chunk in read:
            if chunk.usage:
                if self.choices > 1 and chat_answer.is_of_one(chunk):
                    self._saw_usage_of_one(chunk.usage)
                else:
                    self._saw_usage(chunk.usage)
                chunk.usage = UNSET
            choices = chunk.choices
            if choices:
                first = choices[0]
                if first.delta.content and first.finish_reason is None and len(choices) == 1:
                    self.produced += 1  # Nearly all are of this kind.
                else:
                    self._saw_choices(choices)
                chunks.append(chunk)
        return chunks

    def _read_each(self, payloads: list[bytes]) -> tuple[list[Chunk], bool]:
        """Payloads that are not all usual, one by one, up to the first that ends the answer; and
        whether none did."""
        chunks: list[Chunk] = []
        for payload in payloads:
            if payload == _DONE:
                self._is_done = True
                self._stop(None)
                return chunks, False
            try:
                chunk = chat_answer.read_chunk(payload)
            except BadAnswer:
                self._stop(faults.failed("it sent an event that is not a chat chunk"))
                return chunks, False
            if not isinstance(chunk, Chunk):
                self._stop(self._fault_of(chunk))
                return chunks, False
            chunks.append(chunk)
        return chunks, True

    def _payloads(self, data: bytes) -> list[bytes]:
        decoder = self._decoder
        if decoder is None:
            decoder = self._decoder = sse.Decoder()
        try:
            payloads = decoder.feed(data)
        except sse.EventTooLarge:
            self._stop(faults.failed("it sent an event that is too large"))
            return []
        if payloads:
            self.has_event = True
        return payloads

    def _fault_of(self, said: object) -> ApiError | None:
        """What an odd event stands for. None: the stream's end, oddly written."""
        if isinstance(said, UpstreamError):
            return faults.from_error(said, self.cleaner)
        self._is_done = True
        return None

    def _completion(self) -> Completion:
        failure: ApiError
        try:
            return chat_answer.read_completion(self.take())
        except UpstreamFailed as told:
            failure = faults.from_error(told.error, self.cleaner)
        except BadAnswer:
            failure = faults.failed("its answer is not a chat completion")
        raise failure  # Outside the handlers, so that nothing that knows the text is chained.

    def _saw_choices(self, choices: list[ChunkChoice]) -> None:
        has_content = False
        for choice in choices:
            delta = choice.delta
            if delta.content or delta.tool_calls or delta.refusal or delta.function_call:
                has_content = True
            if choice.finish_reason is not None and 0 <= choice.index < self.choices:
                self._finished.add(choice.index)
        if has_content:
            self.produced += 1

    def _saw_usage(self, usage: TokenUsage) -> None:
        """Of several, the last that can be true is kept; whether it is, the flow judges (R12)."""
        if self.usage is None or (usage.prompt_tokens >= 0 and usage.completion_tokens >= 0):
            self.usage = usage

    def _saw_usage_of_one(self, usage: TokenUsage) -> None:
        """The sum counts, once every choice has told its own: before, there is none."""
        self._of_one += (usage,)
        if len(self._of_one) == self.choices:
            produced = sum(each.completion_tokens for each in self._of_one)
            prompt = usage.prompt_tokens
            self._saw_usage(TokenUsage(prompt, produced, prompt + produced))

    def _stop(self, failure: ApiError | None) -> None:
        """No more is read. After `[DONE]` the connection may be kept, after a failure never."""
        connection, self.connection = self.connection, None
        self.is_over = True
        self.failure = failure
        if connection is None:
            return  # The HTTP message has ended as well.
        if failure is None:
            connection.drain()
        else:
            connection.abort()

    def _raise_refusal(self) -> None:
        if self.status not in (0, 200):
            raise faults.from_status(self.status, self.headers, self.take(), self.cleaner)

    def _raise_unless_complete(self) -> None:
        if self._is_done:
            return
        self._raise_refusal()
        if len(self._finished) >= self.choices:
            return
        if self.failure is not None:
            raise self.failure
        if not self.streams:
            self._completion()  # If it tells of an error, that is raised.
            raise faults.failed("its answer is not an event stream")
        raise faults.failed("its stream ended before the answer was complete")
