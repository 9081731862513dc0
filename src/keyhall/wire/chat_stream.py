"""Brings a stream of chunks into the one form that clients can add up, whatever an engine sent.

Official clients concatenate every string they see but `index` and `type`, and take choices in the
order of their first chunks. So: the first chunks are one `role` chunk per choice, in order; a tool
call's id, type and name come once, in its first fragment, and its index counts from 0; nothing
follows the finish reason of a choice, which comes in a chunk of its own. Chunks that keep the form
pass untouched and cost next to nothing.
"""

from msgspec import UNSET

from keyhall.wire.chat import (
    Chunk,
    ChunkChoice,
    Delta,
    DeltaFunction,
    DeltaToolCall,
    FinishReason,
)

# What a hostile engine can make us remember (I-11).
_CALLS_MAX = 128
_HELD_CHARACTERS_MAX = 65_536
_NOT_SENT = -1


class Shaper:
    """Fed with an engine's chunks, gives those to send. One per stream."""

    __slots__ = ("_choices", "_open")

    def __init__(self, choices: int) -> None:
        self._choices: list[_Calls] = []
        self._open = set(range(choices))

    def feed(self, chunks: list[Chunk]) -> list[Chunk]:
        """The same list if every chunk keeps the form."""
        out: list[Chunk] | None = None
        has_begun, is_open = bool(self._choices), self._open
        for at, chunk in enumerate(chunks):
            choices = chunk.choices
            if has_begun and len(choices) == 1:
                choice = choices[0]
                delta = choice.delta
                if (
                    choice.finish_reason is None
                    and choice.index in is_open
                    and delta.role is UNSET
                    and delta.tool_calls is UNSET
                    and delta.function_call is UNSET
                ):
                    if out is not None:
                        out.append(chunk)
                    continue
            if out is None:
                out = chunks[:at]
            for choice in choices:
                if not has_begun:
                    self._begin(choice, out)
                    has_begun = True
                if choice.index in is_open:
                    self._reshape(choice, out)
        return chunks if out is None else out

    def finish(self) -> list[Chunk]:
        """What is missing at the engine's end: roles, and a finish for every choice."""
        out: list[Chunk] = []
        if not self._choices:
            self._begin(None, out)
        for index in sorted(self._open):
            self._close(index, "tool_calls" if self._choices[index].has_any else "stop", out)
        return out

    def _begin(self, first: ChunkChoice | None, out: list[Chunk]) -> None:
        """The role chunks. An answer that is only a tool call has no content instead of an empty
        one; that is known for the choice that the engine begins with."""
        for index in range(len(self._open)):
            self._choices.append(_Calls(index))
            content: str | None = ""
            if first is not None and first.index == index and not first.delta.content:
                content = None if _has_call(first.delta) else ""
            delta = Delta(role="assistant", content=content, refusal=None)
            out.append(Chunk([ChunkChoice(index, delta)]))

    def _reshape(self, choice: ChunkChoice, out: list[Chunk]) -> None:
        delta, index = choice.delta, choice.index
        delta.role = UNSET
        if _has_call(delta):
            self._choices[index].shape(delta)
        if delta.content or delta.refusal or _has_call(delta) or choice.logprobs is not None:
            out.append(Chunk([ChunkChoice(index, delta, choice.logprobs)]))
        if choice.finish_reason is not None:
            self._close(index, choice.finish_reason, out)

    def _close(self, index: int, reason: FinishReason, out: list[Chunk]) -> None:
        self._open.discard(index)
        held = self._choices[index].held()
        if held:
            out.append(Chunk([ChunkChoice(index, Delta(tool_calls=held))]))
        out.append(Chunk([ChunkChoice(index, Delta(), finish_reason=reason)]))


def _has_call(delta: Delta) -> bool:
    return bool(delta.tool_calls) or delta.function_call is not UNSET


class _Call:
    """A tool call that has begun. Until its name is known its fragments are held back; its index
    is given when it is first sent, because clients want those in order."""

    __slots__ = ("arguments", "id", "index")

    def __init__(self) -> None:
        self.id = ""  # as the engine says it
        self.index = _NOT_SENT
        self.arguments = ""


class _Calls:
    """The tool calls of one choice."""

    __slots__ = ("_at", "_calls", "_choice", "_is_function_named", "_latest", "_sent")

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._calls: list[_Call] = []
        self._at: dict[int, _Call] = {}  # the latest call at an index of the engine's
        self._latest: _Call | None = None
        self._sent = 0
        self._is_function_named = False

    @property
    def has_any(self) -> bool:
        return bool(self._calls)

    def shape(self, delta: Delta) -> None:
        """Leave in a delta only what the client does not have yet."""
        old = delta.function_call
        if old is not UNSET:
            if self._is_function_named:
                old.name = UNSET
            self._is_function_named = True
        if delta.tool_calls is not UNSET:
            shaped = [self._shape(fragment) for fragment in delta.tool_calls]
            delta.tool_calls = [fragment for fragment in shaped if fragment is not None] or UNSET

    def _shape(self, fragment: DeltaToolCall) -> DeltaToolCall | None:
        function = fragment.function or DeltaFunction()
        name, arguments = function.name or "", function.arguments or ""
        call = self._find(fragment, has_name=bool(name))
        if call is None:
            return None
        if call.index == _NOT_SENT:
            call.arguments += arguments
            if name or len(call.arguments) > _HELD_CHARACTERS_MAX:
                return self._first(call, name)
            return None
        if not arguments:
            return None
        return DeltaToolCall(call.index, function=DeltaFunction(arguments=arguments))

    def _find(self, fragment: DeltaToolCall, *, has_name: bool) -> _Call | None:
        """The call that a fragment belongs to, None beyond the bound.

        Servers are known that send no index (here below 0), or 0 with every call, or the id with
        every fragment: so an id that is new begins a call, and one without id goes on."""
        at, id = fragment.index, fragment.id or ""
        call = self._at.get(at) if at >= 0 else self._latest
        if call is not None and id and call.id and id != call.id:
            call = next((other for other in self._calls if other.id == id), None)
        elif call is not None and at < 0 and has_name and not id and call.index != _NOT_SENT:
            call = None  # Neither index nor id: a name is all that tells the next call.
        if call is None:
            if len(self._calls) >= _CALLS_MAX:
                return None
            call = _Call()
            self._calls.append(call)
        call.id = call.id or id
        self._at[at] = self._latest = call
        return call

    def _first(self, call: _Call, name: str) -> DeltaToolCall:
        call.index = self._sent
        self._sent += 1
        id = call.id or f"call_{self._choice}_{call.index}"
        function = DeltaFunction(name, call.arguments)
        call.arguments = ""
        return DeltaToolCall(call.index, id, "function", function)

    def held(self) -> list[DeltaToolCall]:
        """First fragments of the calls that never got a name."""
        return [self._first(call, "") for call in self._calls if call.index == _NOT_SENT]
