"""The screen of one request: its texts on the way in, its answer on the way out.

Nothing of an answer is sent that was not scanned. In a stream each text of each choice (content,
refusal, arguments of each tool call) is a stream of its own; what could still become a hit waits.
A blocking hit ends its choice: what passed before it was sent, then comes `content_filter`.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET

from keyhall.flows.filters import judges, sights
from keyhall.flows.filters.output import Output, escaped
from keyhall.flows.filters.sights import Sights
from keyhall.policy.access import Grant
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.escapes import Unescape
from keyhall.policy.filters.masks import Masks, Undo
from keyhall.policy.filters.matching import utf8
from keyhall.policy.filters.rollout import bucket
from keyhall.policy.filters.rules import Rule, Way
from keyhall.policy.filters.scan import Hit, Stream
from keyhall.policy.filters.views import look
from keyhall.policy.filters.views.look import Sight
from keyhall.policy.filters.views.looker import Looker
from keyhall.wire.chat import ChatRequest, Choice, Chunk, Completion
from keyhall.wire.chat_texts import change_texts, plain_texts, texts
from keyhall.wire.chat_write import Stamp

if TYPE_CHECKING:
    from keyhall.flows.filters.table import Filter
    from keyhall.flows.hall import Hall

LONG_CHARACTERS = 32_768  # scanned in a thread: others have their turns meanwhile
SHOWN_MAX = 8  # rules that a header names


class Flag(NamedTuple):
    """A rule that hit in a request, in which direction, and how that was written if not plainly."""

    rule_id: str
    action: str
    way: Way
    view: str = ""

    @property
    def told(self) -> str:
        return f"{self.rule_id}, {self.view}" if self.view else self.rule_id


class Blocked(Exception):
    """A text of the request is refused."""

    def __init__(self, rule: Rule, where: str, view: str = "") -> None:
        super().__init__(rule.id)
        self.rule = rule
        self.where = where
        self.view = view  # how it was written, if not plainly


class Screen:
    """Of one request, from its reading to the end of its answer."""

    def __init__(self, policy: Policy, filter: "Filter", grant: Grant, hall: "Hall") -> None:
        self._policy = policy
        self._filter = filter
        self._hall = hall
        self._key_id = grant.key_id
        self._project_id = grant.project_id
        self._bucket = 0  # under every rule, unless some are rolled out to a part of requests
        self._request: ChatRequest | None = None
        self._masks: Masks | None = None
        self._back: dict[str, str] = {}
        self._counted: dict[tuple[str, str], int] = {}
        self.flags: list[Flag] = []  # each rule once a direction
        self._output: Output | None = None

    # --- In -------------------------------------------------------------------------------------

    async def input(self, request: ChatRequest) -> None:
        """Mask what is to be masked, in place. Raises Blocked."""
        if self._filter.is_partial:
            self._bucket = bucket(self._key_id, texts(request))
        self._request = request
        if self._policy.stages["in"].rules:
            plain = plain_texts(request)
            if _is_long(request, plain):
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(None, self._scan_input, request, plain)
            else:
                self._scan_input(request, plain)
        rules = self._under(self._policy.models["in"])
        if rules:
            whole = "\n".join(texts(request))
            rule = await judges.first_that_flags(rules, whole, self._hall)
            if rule is not None:
                self._note([Hit(rule.id, rule.category, 0, len(whole), rule.action)], "in")
                if rule.action == "block":
                    raise Blocked(rule, "messages")
        if self._masks is not None:
            self._back = self._masks.back()

    def _scan_input(self, request: ChatRequest, plain: list[str] | None) -> None:
        if (
            plain is not None
            and self._policy.stages["in"].pass_all(plain)
            and not look.may_hide(plain[0] if len(plain) == 1 else "\n".join(plain))
        ):  # As nearly all do.
            if len({message.role for message in request.messages}) < len(plain):
                Sights(self, self._looker("in"), self._places()).across(request)
            return
        looker = self._looker("in")
        views = Sights(self, looker, self._places())

        def scanned(text: str, is_name: bool, where: str) -> str:
            if "\\u" in text and where.endswith(".arguments"):
                text = Unescape().feed(text, last=True)
            verdict = looker.whole(text)
            if verdict.hits:
                self._note(verdict.hits, "in")
                if verdict.block is not None:
                    raise Blocked(self._filter.by_id[verdict.block.rule_id], where)
                text = verdict.text
                if is_name:  # A place in brackets is none.
                    return text.translate(_UNBRACKETED)
            if is_name or not look.may_hide(text):
                return text
            return views.text(text, where, {hit.rule_id for hit in verdict.hits})

        change_texts(request, scanned)
        views.across(request)

    # --- Out ------------------------------------------------------------------------------------

    def of_answer(self) -> "Screen | None":
        """The screen for an answer that begins, perhaps after another engine's of which nothing was
        sent; None if it need not pass here at all."""
        out = self._policy.stages["out"].rules or self._policy.models["out"]
        if not out and not self._back:
            return None
        self._output = Output(self)
        return self

    def chunks(self, chunks: list[Chunk]) -> list[Chunk]:
        """Those to send now."""
        assert self._output is not None
        return self._output.chunks(chunks)

    @property
    def is_over(self) -> bool:
        """Every choice was cut: the engine may stop."""
        return self._output is not None and self._output.is_over

    async def last(self, chunks: list[Chunk]) -> list[Chunk]:
        """The stream's end, with whatever waited."""
        assert self._output is not None
        out = await self._output.last(chunks)
        self._output = None  # Which knows us: what goes in a circle stays until somebody looks.
        self.close()
        return out

    async def answer(self, completion: Completion) -> bytes:
        """Scan a whole answer, in place. Returns response headers."""
        if self._passes(completion):
            return self.lines()
        if self.of_answer() is not None:
            assert self._output is not None
            cuts = {}
            if self._policy.stages["out"].rules:
                cuts = Sights(self, self._looker("out"), self._places()).completion(completion)
            await self._output.completion(completion)
            sights.filtered(completion, cuts)
            self._output = None
            self.close()
        return self.lines()

    def _passes(self, completion: Completion) -> bool:
        """Whether nothing is found in it, as in nearly all."""
        if self._back or self._policy.models["out"]:
            return False
        said: list[str] = []
        for choice in completion.choices:
            message = choice.message
            if (
                message.refusal
                or message.tool_calls is not UNSET
                or message.function_call is not UNSET
                or choice.logprobs is not None
            ):
                return False
            said.append(message.content or "")
        if not self._policy.stages["out"].pass_all(said) or any(map(look.may_hide, said)):
            return False
        size = sum(len(text) if text.isascii() else len(utf8(text)) for text in said)
        counted = self._hall.filters.bytes
        counted["scanned"] += size
        counted["passed"] += size
        return True

    def told(self, completion: Completion) -> Completion:
        """Nothing more is told of it."""
        return completion

    def ending(self, stamp: Stamp) -> bytes:
        return b""

    def look_back(self, choices: Iterable[Choice]) -> None:
        """A stream is over, and was scanned as it stands: what was disguised in it is noted for
        reviewers."""
        if self._policy.stages["out"].rules:
            views = Sights(self, self._looker("out"), self._places())
            told = {flag.rule_id for flag in self.flags if flag.way == "out"}
            sent = views.sent((each.message for each in choices), set(self._back.values()))
            self.saw(look.new(sent, told), "out")
            self.close()

    # --- What it found --------------------------------------------------------------------------

    def lines(self) -> bytes:
        """The response header that names the rules which changed something. Rules that only flag
        are for reviewers, not for callers."""
        if not self.flags:
            return b""
        told = [flag for flag in self.flags if flag.action in ("mask", "block")][:SHOWN_MAX]
        if not told:
            return b""
        shown = ", ".join(header(flag.action, flag.rule_id, flag.view) for flag in told)
        return b"x-keyhall-filter: %b\r\n" % shown.encode()

    def close(self) -> None:
        """Count what was hit. Repeatable."""
        counted, self._counted = self._counted, {}
        if counted:
            self._hall.filters.count(self._project_id, counted, self._filter.operators)

    def rule(self, rule_id: str) -> Rule:
        return self._filter.by_id[rule_id]

    def stream(self) -> Stream:
        return self._looker("out").stream()

    def _places(self) -> Masks:
        """What the request's values are masked by, the same on both ways."""
        if self._masks is None:
            request = self._request
            self._masks = Masks() if request is None else Masks(lambda: texts(request))
        return self._masks

    def undo(self, *, is_json: bool) -> Undo | None:
        """What puts the caller's own values back; None if there are none."""
        if not self._back:
            return None
        return Undo(escaped(self._back) if is_json else self._back)

    def judges(self) -> tuple[Rule, ...]:
        return self._under(self._policy.models["out"])

    async def judge(self, text: str) -> Rule | None:
        """The rule whose model blocks an answer."""
        rule = await judges.first_that_flags(self.judges(), text, self._hall)
        if rule is not None:
            self._note([Hit(rule.id, rule.category, 0, len(text), rule.action)], "out")
        return rule if rule is not None and rule.action == "block" else None

    def took(self, stream: Stream, *, is_whole: bool = True) -> None:
        """A text of the answer is over. Nothing went out that was not scanned; and if it was not
        cut, everything that was scanned went out or was masked."""
        self._note(stream.hits, "out")
        gone = stream.passed + stream.masked
        assert gone <= stream.scanned
        assert gone == stream.scanned or stream.cut is not None or not is_whole
        counted = self._hall.filters.bytes
        counted["scanned"] += stream.scanned
        counted["passed"] += stream.passed
        counted["masked"] += stream.masked

    def saw(self, seen: Iterable[Sight], way: Way) -> None:
        """Rules hit what is not written plainly."""
        for each in seen:
            self._count(each.rule.id, each.rule.action, way, each.kind)

    def blocked(self, sight: Sight, where: str) -> Blocked:
        return Blocked(self._filter.by_id[sight.rule.id], where, sight.kind)

    def _looker(self, way: Way) -> Looker:
        return Looker(self._policy, way, bucket=self._bucket, masks=self._places())

    def _under(self, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
        return tuple(rule for rule in rules if rule.percent > self._bucket) if rules else ()

    def _note(self, hits: "list[Hit] | tuple[Hit, ...]", way: Way) -> None:
        for hit in hits:
            self._count(hit.rule_id, hit.action, way)

    def _count(self, rule_id: str, action: str, way: Way, view: str = "") -> None:
        by = (rule_id, action)
        self._counted[by] = self._counted.get(by, 0) + 1
        flag = Flag(rule_id, action, way, view)
        if action != "allow" and flag not in self.flags:
            self.flags.append(flag)


def header(action: str, rule_id: str, view: str) -> str:
    """One rule in `x-keyhall-filter`."""
    return f"{action}={rule_id};view={view.replace(' ', '-')}" if view else f"{action}={rule_id}"


_UNBRACKETED = str.maketrans("", "", "[]")


def _is_long(request: ChatRequest, plain: list[str] | None) -> bool:
    if plain is not None:
        return sum(map(len, plain)) > LONG_CHARACTERS
    total = 0
    for message in request.messages:
        content = message.content
        total += len(content) if content is not None else 0
        if total > LONG_CHARACTERS or (content is not None and not isinstance(content, str)):
            return sum(map(len, texts(request))) > LONG_CHARACTERS
    return False
