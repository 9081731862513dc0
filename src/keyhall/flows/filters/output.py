"""The answer on its way out: chunk by chunk, or whole."""

import json
from collections.abc import Callable
from typing import Protocol, TypeVar

from msgspec import UNSET

from keyhall.policy.filters.escapes import Unescape
from keyhall.policy.filters.masks import Undo
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.scan import Stream
from keyhall.wire.chat import (
    AnswerFunction,
    AnswerMessage,
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Delta,
    DeltaFunction,
    DeltaToolCall,
    FilteredChoice,
    FilteredChunkChoice,
    FilterNote,
)
from keyhall.wire.chat_texts import calls_of

_OLD_CALL = -1  # the index of `function_call`, of which there is one

Cut = TypeVar("Cut")  # what ends an answer

Field = tuple[int, str, int]  # a choice, one of its texts, and which tool call it is


class Over(Protocol):
    """Whose rules an answer passes (`screen.py`)."""

    def stream(self) -> Stream: ...

    def undo(self, *, is_json: bool) -> Undo | None: ...

    def rule(self, rule_id: str) -> Rule: ...

    def took(self, stream: Stream, *, is_whole: bool = True) -> None: ...

    def judges(self) -> tuple[Rule, ...]: ...

    async def judge(self, text: str) -> Rule | None: ...


class _Text:
    """One text of an answer: its letters read, scanned, and the caller's own values put back."""

    __slots__ = ("_unescape", "stream", "undo")

    def __init__(self, screen: Over, *, is_json: bool) -> None:
        self.stream = screen.stream()
        self.undo = screen.undo(is_json=is_json)
        self._unescape = Unescape() if is_json else None

    def feed(self, piece: str, *, last: bool = False) -> str:
        if self._unescape is not None:
            piece = self._unescape.feed(piece, last=last)
        gone = self.stream.feed(piece, last=last)
        if self.undo is None:
            return gone
        return self.undo.feed(gone, last=last or self.stream.cut is not None)


class Output:
    """One answer."""

    def __init__(self, screen: Over) -> None:
        self._screen = screen
        self._texts: dict[Field, _Text] = {}
        self._contents: dict[int, Stream] = {}  # those whose pieces take the short way
        self._open: set[int] = set()
        self._over: set[int] = set()
        self._is_cut = False
        # Where a model judges the answer as a whole, all of it waits: by choice, what was said.
        self._waits = bool(screen.judges())
        self._waiting: list[Chunk] = []
        self._said: dict[int, list[str]] = {}

    @property
    def is_over(self) -> bool:
        return self._is_cut and self._open <= self._over

    def chunks(self, chunks: list[Chunk]) -> list[Chunk]:
        out: list[Chunk] = []
        run: list[Chunk] = []  # of one choice's content: what came together is scanned together
        for chunk in chunks:
            if self._is_plain(chunk):
                if run and run[0].choices[0].index != chunk.choices[0].index:
                    self._pass_run(run, out)
                    run = []
                run.append(chunk)
                continue
            if run:
                self._pass_run(run, out)
                run = []
            for choice in chunk.choices:
                if choice.index not in self._over:
                    self._open.add(choice.index)
                    self._pass(choice, out)
        if run:
            self._pass_run(run, out)
        if not self._waits:
            return out
        self._waiting += out
        return []

    def _is_plain(self, chunk: Chunk) -> bool:
        """Nearly all chunks are a word of one choice's content."""
        choices = chunk.choices
        if len(choices) != 1:
            return False
        choice = choices[0]
        delta = choice.delta
        return (
            choice.index in self._contents
            and bool(delta.content)
            and choice.finish_reason is None
            and delta.tool_calls is UNSET
            and delta.function_call is UNSET
            and not delta.refusal
        )

    def _pass_run(self, run: list[Chunk], out: list[Chunk]) -> None:
        choice = run[0].choices[0]
        delta = choice.delta
        stream = self._contents.get(choice.index)
        if stream is None:
            return  # It was cut in this very turn.
        said = delta.content if len(run) == 1 else "".join(_content(chunk) for chunk in run)
        assert said
        choice.logprobs = None
        delta.content = gone = stream.feed(said)
        if gone:
            out.append(run[0])
        if stream.cut is not None:
            self._cut(choice.index, self._screen.rule(stream.cut.rule_id), out)

    async def last(self, chunks: list[Chunk]) -> list[Chunk]:
        """With the rest of the stream, which has the finish of every choice."""
        out = self.chunks(chunks)
        for text in self._texts.values():
            self._screen.took(text.stream)
        self._texts.clear()
        if not self._waits:
            return out
        waiting, self._waiting = self._waiting, []
        for index, said in sorted(self._said.items()):
            rule = await self._screen.judge("".join(said))
            if rule is not None:
                own = [c for c in waiting if c.choices[0].index == index]
                waiting = [c for c in waiting if c.choices[0].index != index]
                waiting += [own[0], Chunk([_cut(index, rule)])]  # Its role, and its end.
        return waiting

    # --- One choice of a chunk ------------------------------------------------------------------

    def _pass(self, choice: ChunkChoice, out: list[Chunk]) -> None:
        index, delta = choice.index, choice.delta
        choice.logprobs = None  # They spell what may have to wait or to be masked.
        if choice.finish_reason is not None:
            self._end(index, out)
            if index not in self._over:
                self._over.add(index)
                out.append(Chunk([choice]))
            return
        cut = self._pass_texts(index, delta)
        if delta.tool_calls is not UNSET and cut is None:
            kept: list[DeltaToolCall] = []
            for call in delta.tool_calls:
                if cut is None and call.function is not UNSET:
                    cut = self._call(index, call.index, call.function)
                if cut is None and (call.id is not UNSET or _says(call.function)):
                    kept.append(call)
            delta.tool_calls = kept or UNSET
        if delta.function_call is not UNSET and cut is None:
            cut = self._call(index, _OLD_CALL, delta.function_call)
            if cut is not None or not _says(delta.function_call):
                delta.function_call = UNSET
        if _has_any(delta):
            out.append(Chunk([choice]))
        if cut is not None:
            self._cut(index, cut, out)

    def _pass_texts(self, index: int, delta: Delta) -> Rule | None:
        cut: Rule | None = None
        if delta.content:
            text, cut = self._feed((index, "content", 0), delta.content)
            delta.content = text or UNSET
        if delta.refusal and cut is None:
            text, cut = self._feed((index, "refusal", 0), delta.refusal)
            delta.refusal = text or UNSET
        return cut

    def _call(self, index: int, which: int, function: DeltaFunction) -> Rule | None:
        if function.name:
            stream = self._screen.stream()
            stream.feed(function.name, last=True)  # It comes whole, and a masked one calls nothing.
            self._screen.took(stream)
            if stream.cut is not None:
                return self._screen.rule(stream.cut.rule_id)
        if not function.arguments:
            return None
        text, cut = self._feed((index, "arguments", which), function.arguments)
        function.arguments = text if text or function.name else UNSET
        return cut

    def _feed(self, field: Field, piece: str) -> tuple[str, Rule | None]:
        text = self._texts.get(field)
        if text is None:
            text = self._texts[field] = _Text(self._screen, is_json=field[1] == "arguments")
            if field[1] == "content" and text.undo is None and not self._waits:
                self._contents[field[0]] = text.stream
        gone = text.feed(piece)
        if self._waits and gone:
            self._said.setdefault(field[0], []).append(gone)
        cut = text.stream.cut
        return gone, None if cut is None else self._screen.rule(cut.rule_id)

    def _end(self, index: int, out: list[Chunk]) -> None:
        """Let out what waits of a choice that is over; the first cut ends it."""
        self._contents.pop(index, None)
        for field in [each for each in self._texts if each[0] == index]:
            text = self._texts.pop(field)
            gone = text.feed("", last=True)
            self._screen.took(text.stream)
            if gone:
                if self._waits:
                    self._said.setdefault(index, []).append(gone)
                out.append(Chunk([ChunkChoice(index, _delta(field, gone))]))
            if text.stream.cut is not None:
                self._cut(index, self._screen.rule(text.stream.cut.rule_id), out)
                return

    def _cut(self, index: int, rule: Rule, out: list[Chunk]) -> None:
        """End a choice. What waits of its other texts stays unsent."""
        self._is_cut = True
        self._over.add(index)
        self._contents.pop(index, None)
        for field in [each for each in self._texts if each[0] == index]:
            text = self._texts.pop(field)
            self._screen.took(text.stream, is_whole=False)
        out.append(Chunk([_cut(index, rule)]))

    # --- Whole ----------------------------------------------------------------------------------

    async def completion(self, completion: Completion) -> None:
        for at, choice in enumerate(completion.choices):
            cut = self._scan_choice(choice)
            if cut is None and self._waits:
                cut = await self._screen.judge(_all_of(choice))
                if cut is not None:
                    choice.message.content, choice.message.refusal = "", None
                    choice.message.tool_calls = choice.message.function_call = UNSET
            if cut is not None:
                completion.choices[at] = FilteredChoice(
                    choice.index, choice.message, "content_filter", None, note(cut)
                )

    def _scan_choice(self, choice: Choice) -> Rule | None:
        choice.logprobs = None
        return change_answer(choice.message, self._whole, self._whole_call)

    def _whole_call(self, function: AnswerFunction) -> Rule | None:
        _, cut = self._whole(function.name)
        if cut is None:
            function.arguments, cut = self._whole(function.arguments, is_json=True)
        return cut

    def _whole(self, said: str, *, is_json: bool = False) -> tuple[str, Rule | None]:
        text = _Text(self._screen, is_json=is_json)
        gone = text.feed(said, last=True)
        self._screen.took(text.stream)
        cut = text.stream.cut
        return gone, None if cut is None else self._screen.rule(cut.rule_id)


def change_answer(
    message: AnswerMessage,
    of_text: Callable[[str], tuple[str, Cut | None]],
    of_call: Callable[[AnswerFunction], Cut | None],
) -> Cut | None:
    """Change the texts of a whole answer one after the other; what stands behind the first cut is
    left out. Returns that cut."""
    cut: Cut | None = None
    if message.content:
        message.content, cut = of_text(message.content)
    if message.refusal:
        if cut is None:
            message.refusal, cut = of_text(message.refusal)
        else:
            message.refusal = None
    if message.tool_calls is not UNSET:
        kept = []
        for call in message.tool_calls:
            if cut is None:
                cut = of_call(call.function)
                if cut is None:
                    kept.append(call)
        message.tool_calls = kept or UNSET
    if message.function_call is not UNSET:
        if cut is None:
            cut = of_call(message.function_call)
        if cut is not None:
            message.function_call = UNSET
    return cut


def _content(chunk: Chunk) -> str:
    return chunk.choices[0].delta.content or ""


def _cut(index: int, rule: Rule) -> FilteredChunkChoice:
    return FilteredChunkChoice(index, Delta(), None, "content_filter", note(rule))


def note(rule: Rule, view: str = "") -> FilterNote:
    """Which rule ended a choice, for the caller; and how what it found was written, if it was not
    written plainly."""
    told = {"rule": rule.id, "category": rule.category, "reason": rule.reason}
    return FilterNote({**told, "view": view} if view else told)


def _delta(field: Field, text: str) -> Delta:
    _, name, which = field
    if name == "content":
        return Delta(content=text)
    if name == "refusal":
        return Delta(refusal=text)
    function = DeltaFunction(arguments=text)
    if which == _OLD_CALL:
        return Delta(function_call=function)
    return Delta(tool_calls=[DeltaToolCall(which, function=function)])


def _says(function: object) -> bool:
    return isinstance(function, DeltaFunction) and bool(function.name or function.arguments)


def _has_any(delta: Delta) -> bool:
    return (
        delta.role is not UNSET
        or bool(delta.content)
        or bool(delta.refusal)
        or delta.tool_calls is not UNSET
        or delta.function_call is not UNSET
    )


def _all_of(choice: Choice) -> str:
    message = choice.message
    calls = calls_of(message)
    said = [message.content or "", message.refusal or ""]
    return "\n".join(said + [f"{call.name} {call.arguments}" for call in calls])


def escaped(values: dict[str, str]) -> dict[str, str]:
    """Values as they stand inside a JSON string."""
    return {place: json.dumps(value, ensure_ascii=False)[1:-1] for place, value in values.items()}
