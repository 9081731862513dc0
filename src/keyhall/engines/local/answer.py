"""An answer of a model in the house: an upstream's answer that may first wait for its place.

Its tokens are known: while it runs, as many as there were events, each at least one; at its end,
as many as the engine counted, over all choices.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keyhall.engines.upstream.answer import UpstreamAnswer
from keyhall.errors import ApiError
from keyhall.wire.chat import Choice, Chunk, ChunkChoice, Completion, TokenUsage
from keyhall.wire.chat_gather import Gatherer

if TYPE_CHECKING:
    from keyhall.engines.local.gate import Gate


class LocalAnswer(UpstreamAnswer, kw_only=True):
    gate: "Gate[LocalAnswer]"
    key: str
    body: bytes
    shows_alternatives: bool = True  # of each token, next to its own log-probability
    since: float = 0.0  # when it came to the gate

    async def whole(self) -> Completion:
        if not self.streams:
            completion = await super().whole()
            self.produced = self.usage.completion_tokens if self.usage is not None else 1
            if not self.shows_alternatives:
                cut_alternatives(completion.choices)
            return completion
        gathered = Gatherer(self.choices)
        while chunks := await self.chunks():
            gathered.feed(chunks)
        return gathered.completion(self.usage)

    def end(self, failure: ApiError | None = None) -> None:
        super().end(failure)
        self.gate.over(self)

    def leave(self) -> None:
        super().leave()
        self.gate.over(self)

    def _stop(self, failure: ApiError | None) -> None:
        super()._stop(failure)
        self.gate.over(self)

    def _decode(self, data: bytes) -> list[Chunk]:
        chunks = super()._decode(data)
        if not self.shows_alternatives:
            for chunk in chunks:
                cut_alternatives(chunk.choices)
        if self._is_done and self.usage is not None:
            self.produced = self.usage.completion_tokens
        return chunks

    def _saw_usage(self, usage: TokenUsage) -> None:
        """Each choice is told of by itself; what was sent is the same for all of them."""
        seen = self.usage
        if seen is None:
            self.usage = usage
        else:
            seen.completion_tokens += usage.completion_tokens
            seen.total_tokens = seen.prompt_tokens + seen.completion_tokens


def cut_alternatives(choices: Sequence[Choice] | Sequence[ChunkChoice]) -> None:
    """The engine gives at least one."""
    for choice in choices:
        if choice.logprobs is not None and choice.logprobs.content:
            for each in choice.logprobs.content:
                each.top_logprobs = []
