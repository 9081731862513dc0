"""An answer of a model in the house: an upstream's answer that may first wait for its place.

Its tokens are known: while it runs, as many as there were events, each at least one; at its end,
as many as the engine counted, over all choices.
"""

from typing import TYPE_CHECKING

from keyhall.engines.upstream.answer import UpstreamAnswer
from keyhall.errors import ApiError
from keyhall.wire.chat import Chunk, Completion, TokenUsage
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
        gathered = Gatherer(self.choices)
        while chunks := await self.chunks():
            gathered.feed(chunks)
        return gathered.completion(self.usage)

    def end(self, failure: ApiError | None = None) -> None:
        if failure is not None and not self.is_accepted and self.gate.again(self):
            return  # The process is gone, and never had it: it waits for the next.
        super().end(failure)
        if failure is not None and self.is_accepted:
            self.gate.doubt()
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
            _cut_alternatives(chunks)
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


def _cut_alternatives(chunks: list[Chunk]) -> None:
    """The engine gives at least one."""
    for chunk in chunks:
        for choice in chunk.choices:
            if choice.logprobs is not None and choice.logprobs.content:
                for each in choice.logprobs.content:
                    each.top_logprobs = []
