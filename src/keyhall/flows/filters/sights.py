"""What the views of a request's texts show, acted upon as if it stood there plainly.

Of an answer they are looked at where it is sent whole. The pieces of a stream have gone out before
it can be told what they are part of: what they are is told to reviewers, when it is over.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from msgspec import structs

from keyhall.flows.filters.output import change_answer, note
from keyhall.policy.filters.masks import Masks
from keyhall.policy.filters.views import look
from keyhall.policy.filters.views.look import Sight
from keyhall.policy.filters.views.looker import Looker
from keyhall.wire.chat import (
    AnswerFunction,
    AnswerMessage,
    ChatRequest,
    Choice,
    Completion,
    FilteredChoice,
)
from keyhall.wire.chat_texts import calls_of, contents

if TYPE_CHECKING:
    from keyhall.flows.filters.screen import Screen


SENT_CHARACTERS_MAX = 131_072  # of one text of a stream that is over: the next request waits


class Sights:
    """Of one way of one request."""

    __slots__ = ("_looker", "_masks", "_screen")

    def __init__(self, screen: "Screen", looker: Looker, masks: Masks) -> None:
        self._screen = screen
        self._looker = looker
        self._masks = masks

    def text(self, text: str, where: str, known: Collection[str]) -> str:
        """A text of what is asked, with its masks. `known`: rules that hit it already. Raises
        Blocked."""
        is_json = where.endswith(".arguments")
        sights = look.new(look.hidden(self._looker, text, is_json=is_json), known)
        if not sights:
            return text
        self._took(sights, where)
        return look.masked([text], sights, self._masks)[0]

    def across(self, request: ChatRequest) -> None:
        """What is split over messages of the same role, or over parts of one. Raises Blocked."""
        if len(request.messages) == 1 and isinstance(request.messages[0].content, str):
            return
        for said in contents(request):
            texts = [each.text for each in said]
            sights = look.split(self._looker, texts) if len(texts) > 1 else []
            if sights:
                self._took(sights, said[(look.blocking(sights) or sights[0]).places[-1][0]].where)
                for each, text in zip(said, look.masked(texts, sights, self._masks), strict=True):
                    each.text = text

    def _took(self, sights: list[Sight], where: str) -> None:
        self._screen.saw(sights, "in")
        block = look.blocking(sights)
        if block is not None:
            raise self._screen.blocked(block, where)

    # --- Of an answer ---------------------------------------------------------------------------

    def completion(self, completion: Completion) -> dict[int, Sight]:
        """Mask what is to be masked, in place, and cut where one blocks: by which, by choice."""
        cuts = {}
        for at, choice in enumerate(completion.choices):
            cut = self._message(choice.message)
            if cut is not None:
                cuts[at] = cut
        return cuts

    def sent(self, messages: Iterable[AnswerMessage], own: Collection[str]) -> list[Sight]:
        """What was disguised in streams that have been sent: all that can be done is to note it.
        `own` values are the caller's, which were put back."""
        found: list[Sight] = []
        for message in messages:
            said = [(message.content or "", False), (message.refusal or "", False)]
            said += ((call.arguments, True) for call in calls_of(message))
            for text, is_json in said:
                if len(text) <= SENT_CHARACTERS_MAX and look.may_hide(text):
                    found += look.hidden(self._looker, text, is_json=is_json)
        return [_noted(sight) for sight in found if sight.value not in own]

    def _message(self, message: AnswerMessage) -> Sight | None:
        return change_answer(message, self._answer, self._arguments)

    def _arguments(self, function: AnswerFunction) -> Sight | None:
        function.arguments, cut = self._answer(function.arguments, is_json=True)
        return cut

    def _answer(self, text: str, *, is_json: bool = False) -> tuple[str, Sight | None]:
        if not look.may_hide(text):
            return text, None
        sights = sorted(look.hidden(self._looker, text, is_json=is_json), key=_start)
        cut = look.blocking(sights)
        if cut is not None:
            end = _start(cut)
            sights = [each for each in sights if each is cut or each.places[0][2] <= end]
            text = text[:end]
        self._screen.saw(sights, "out")
        return look.masked([text], sights, self._masks)[0], cut


def _noted(sight: Sight) -> Sight:
    if sight.rule.action == "allow":
        return sight
    return sight._replace(rule=structs.replace(sight.rule, action="flag"))


def _start(sight: Sight) -> int:
    return sight.places[0][1]


def filtered(completion: Completion, cuts: dict[int, Sight]) -> None:
    """End the choices that were cut as the contract says."""
    for at, cut in cuts.items():
        choice = completion.choices[at]
        if choice.__class__ is Choice:  # It may have been cut for something plain before that.
            told = note(cut.rule, cut.kind)
            completion.choices[at] = FilteredChoice(
                choice.index, choice.message, "content_filter", None, told
            )
