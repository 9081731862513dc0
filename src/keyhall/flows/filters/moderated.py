"""`moderation` in a chat request: what rules find in what is asked and answered, in the answer.

It is answered from what `POST /v1/moderations` is answered from. `score` only tells; `block`
refuses the request or ends the answer. The rules that the caller is under work all the same, and on
an answer before it: what is told is told of what is sent. Nothing of it is counted as a rule's hit,
and whoever does not ask for it pays nothing for it.
"""

from collections.abc import Iterable

from msgspec import UNSET

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.flows.callers import Caller
from keyhall.flows.filters import begin as filtered
from keyhall.flows.filters.moderate import looked_at
from keyhall.flows.filters.output import Output
from keyhall.flows.filters.screen import Flag, Screen
from keyhall.flows.hall import Hall
from keyhall.policy.catalogue import Version
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.scan import Scanner, Stream
from keyhall.ports.exchange import Exchange
from keyhall.wire.chat import (
    AnswerMessage,
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    FilteredChoice,
    FilteredChunkChoice,
)
from keyhall.wire.chat_gather import Gatherer, characters
from keyhall.wire.chat_texts import texts, texts_of
from keyhall.wire.chat_write import Stamp
from keyhall.wire.moderation.read import CHARACTERS_MAX, check_model
from keyhall.wire.moderation.within import (
    BothWays,
    NoResults,
    Results,
    completed,
    failure,
    results,
)


async def begin(
    request: ChatRequest, caller: Caller, exchange: Exchange, version: Version, hall: Hall
) -> "Moderated":
    """Look at what is asked, as it was sent, and then let the caller's own rules look. Raises
    ApiError."""
    asked = request.moderation
    assert asked is not None
    check_model(asked.model, "moderation.model")
    project = caller.grant.project_id
    policy: Policy | None = None
    found: Results | NoResults
    try:
        policy = await hall.policies.of(project)
        found = await _input(policy, request)
    except ApiError as error:
        if asked.blocks_input or (policy is None and asked.blocks_output):
            raise
        found = failure(error)
    if asked.blocks_input and isinstance(found, Results) and found.results[0].flagged:
        raise await filtered.counted(_refusal(found), caller, version, hall)
    blocking = await hall.policies.of(project, blocks=True) if asked.blocks_output else None
    screen = None
    if caller.filter is not None:
        screen = await filtered.begin(request, caller, exchange, version, hall)
    return Moderated(found, policy, blocking, screen, request.choices)


async def _input(policy: Policy, request: ChatRequest) -> Results:
    """One result for all that is asked."""
    found = await looked_at(policy, _bounded(tuple(texts(request))))
    return results([set[str]().union(*found)])


def _bounded(looked: tuple[str, ...]) -> tuple[str, ...]:
    size = sum(map(len, looked))
    if size > CHARACTERS_MAX:
        raise ApiError(errors.MODERATION_TOO_LONG, bound=CHARACTERS_MAX, got=size)
    return looked


def _refusal(found: Results) -> ApiError:
    flagged = [name for name, is_hit in found.results[0].categories.items() if is_hit]
    return ApiError(errors.MODERATION_BLOCKED, categories=", ".join(flagged))


class Moderated:
    """In the place of a screen (`screen.py`), which it has inside if the caller is under rules."""

    def __init__(
        self,
        found: Results | NoResults,
        policy: Policy | None,
        blocking: Policy | None,
        screen: Screen | None,
        choices: int,
    ) -> None:
        self._input = found
        self._policy = policy
        self._blocking = blocking
        self._screen = screen
        self._inner: Screen | None = None  # that this answer passes first
        self._choices = choices
        self._begin()

    def _begin(self) -> None:
        self._said = Gatherer(self._choices)
        self._size = 0
        self._cut: dict[int, str] = {}  # the category that ended a choice
        self._own = None if self._blocking is None else Output(_Blocks(self._blocking))
        self._output: Results | NoResults | None = None

    @property
    def flags(self) -> list[Flag]:
        """What the caller's rules found, for reviewers."""
        return [] if self._screen is None else self._screen.flags

    def look_back(self, choices: Iterable[Choice]) -> None:
        if self._screen is not None:
            self._screen.look_back(choices)

    def lines(self) -> bytes:
        return b"" if self._screen is None else self._screen.lines()

    # --- A stream ---------------------------------------------------------------------------------

    def of_answer(self) -> "Moderated":
        self._begin()
        self._inner = None if self._screen is None else self._screen.of_answer()
        return self

    def chunks(self, chunks: list[Chunk]) -> list[Chunk]:
        if self._inner is not None:
            chunks = self._inner.chunks(chunks)
        if self._own is not None:
            before = _filtered(chunks)
            chunks = self._own.chunks(chunks)
            self._note(chunks, before)
        else:
            self._hear(chunks)
        return chunks

    @property
    def is_over(self) -> bool:
        inner = self._inner is not None and self._inner.is_over
        return inner or (self._own is not None and self._own.is_over)

    async def last(self, chunks: list[Chunk]) -> list[Chunk]:
        if self._inner is not None:
            chunks = await self._inner.last(chunks)
        if self._own is not None:
            before = _filtered(chunks)
            chunks = await self._own.last(chunks)
            self._note(chunks, before)
            self._output = self._of_cuts()
        else:
            self._hear(chunks)
            self._output = await self._scored(self._said.completion(None).choices)
        return chunks

    def ending(self, stamp: Stamp) -> bytes:
        """The chunk that tells of it."""
        return stamp.encode_moderation(self._both())

    def _hear(self, chunks: list[Chunk]) -> None:
        self._size += sum(map(characters, chunks))
        if self._size <= CHARACTERS_MAX:
            self._said.feed(chunks)

    def _note(self, chunks: list[Chunk], before: list[FilteredChunkChoice]) -> None:
        for choice in _filtered(chunks):
            if not any(choice is each for each in before) and choice.keyhall is not UNSET:
                self._cut[choice.index] = choice.keyhall.filter["category"] or ""

    # --- A whole answer ---------------------------------------------------------------------------

    async def answer(self, completion: Completion) -> bytes:
        self._begin()
        if self._screen is not None:
            await self._screen.answer(completion)
        if self._own is None:
            self._size = sum(_size(choice.message) for choice in completion.choices)
            self._output = await self._scored(completion.choices)
            return self.lines()
        before = list(completion.choices)
        told = [choice.logprobs for choice in before]
        await self._own.completion(completion)
        for choice, old in zip(completion.choices, before, strict=True):
            if choice is not old and isinstance(choice, FilteredChoice):
                assert choice.keyhall is not UNSET
                self._cut[choice.index] = choice.keyhall.filter["category"] or ""
        for choice, logprobs in zip(completion.choices, told, strict=True):
            if choice.index not in self._cut:
                choice.logprobs = logprobs  # Nothing of it was taken out or waits.
        self._output = self._of_cuts()
        return self.lines()

    def told(self, completion: Completion) -> Completion:
        return completed(completion, self._both())

    # --- What was found ---------------------------------------------------------------------------

    def _both(self) -> BothWays:
        assert self._output is not None
        return BothWays(self._input, self._output)

    def _of_cuts(self) -> Results:
        return results(
            {self._cut[index]} if index in self._cut else () for index in range(self._choices)
        )

    async def _scored(self, choices: list[Choice]) -> Results | NoResults:
        """One result a choice."""
        if self._policy is None:
            assert isinstance(self._input, NoResults)
            return self._input
        if self._size > CHARACTERS_MAX:
            bound, got = CHARACTERS_MAX, self._size
            return failure(ApiError(errors.MODERATION_TOO_LONG, bound=bound, got=got))
        said = tuple(texts_of(choice.message) for choice in choices)
        found = await looked_at(self._policy, tuple(text for each in said for text in each))
        by_text = iter(found)
        return results([set[str]().union(*(next(by_text) for _ in each)) for each in said])


class _Blocks:
    """Every category ends a choice; what hits is nobody's rule, and counted nowhere."""

    def __init__(self, policy: Policy) -> None:
        self._scanner = Scanner(policy, "out")
        self._rules = {rule.id: rule for rule in policy.rules}

    def stream(self) -> Stream:
        return self._scanner.stream()

    def undo(self, *, is_json: bool) -> None:
        return None

    def rule(self, rule_id: str) -> Rule:
        return self._rules[rule_id]

    def took(self, stream: Stream, *, is_whole: bool = True) -> None: ...

    def judges(self) -> tuple[Rule, ...]:
        return ()

    async def judge(self, text: str) -> Rule | None:
        return None


def _filtered(chunks: list[Chunk]) -> list[FilteredChunkChoice]:
    return [
        choice
        for chunk in chunks
        for choice in chunk.choices
        if isinstance(choice, FilteredChunkChoice)
    ]


def _size(message: AnswerMessage) -> int:
    return sum(map(len, texts_of(message)))
