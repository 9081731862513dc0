"""One item: what was asked and answered, why it is here, and what the person who has claimed it
thinks. Text of callers and models is shown as text, with whose it is and what hides in it by name
(attack 18)."""

import json
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.console.pages.review.queue import REASONS, STATES, desk_of, who_of
from keyhall.flows.content.conversation import Conversation
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.flows.review import deciding, looking
from keyhall.flows.review.deciding import Opinion
from keyhall.flows.review.looking import View
from keyhall.flows.review.passing import NotPassed
from keyhall.policy.forms import written
from keyhall.policy.review import judging, states
from keyhall.policy.review.differences import difference, readable
from keyhall.policy.review.judging import DECISIONS, Decision
from keyhall.policy.review.marked import marked
from keyhall.ports.content import Unreadable
from keyhall.ports.review import Item
from keyhall.stores.content.sealing import Vault
from keyhall.stores.operate import acts
from keyhall.stores.review import items
from keyhall.wire.chat import AnswerMessage, Message

SHOWN_CHARACTERS_MAX = 200_000  # of one message; an answer of 4,096 tokens has some 20,000
RUBRIC = (
    (5, "Right, complete and well said"),
    (4, "Right, with something to improve"),
    (3, "Usable once somebody has corrected it"),
    (2, "Wrong or misleading in something that matters"),
    (1, "Harmful, or of no use at all"),
)
STAGES = {
    "alone": "What you decide is what its caller gets.",
    "sent": "Its caller has the answer already: a correction is kept for those who learn from it.",
    "claimed": "Somebody else reviews it after you, without seeing yours.",
    "second-claimed": "Somebody has reviewed it before: theirs is shown once you have given yours.",
    "disputed-claimed": "Two reviews differ. It is decided as soon as two stand for the same.",
}
Marked = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Part:
    """Some text, in pieces: its own words, and hidden characters by name."""

    who: str  # whose it is, in words
    pieces: Marked
    is_answer: bool = False
    is_cut: bool = False


def part(who: str, text: str, *, is_answer: bool = False) -> Part:
    shown = text[:SHOWN_CHARACTERS_MAX]
    return Part(who, marked(shown), is_answer, len(shown) < len(text))


def parts_of(said: Conversation, version: str) -> list[Part]:
    """What was asked, message by message, and the answers."""
    found = [part(_asker(each), text_of(each)) for each in said.messages]
    count = len(said.answers)
    for each in said.answers:
        which = f", choice {each.index + 1} of {count}" if count > 1 else ""
        found.append(part(f"answer of {version}{which}", text_of(each.message), is_answer=True))
    return found


def _asker(message: Message) -> str:
    if message.role == "assistant":
        return "assistant, as the caller sent it"
    return f"{message.role}, from the caller"


def text_of(message: Message | AnswerMessage) -> str:
    """All that a message says, calls of functions as JSON."""
    told = msgspec.to_builtins(message)
    content = told.get("content")
    if isinstance(content, list):
        content = "\n".join(each.get("text") or each.get("refusal") or "" for each in content)
    lines = [content or "", told.get("refusal") or ""]
    for name in ("tool_calls", "function_call"):
        if told.get(name):
            lines.append(json.dumps(told[name], ensure_ascii=False, indent=1))
    return "\n".join(line for line in lines if line)


def answer_of(said: Conversation | None) -> str:
    """The answer that is corrected: the first choice."""
    if said is None or not said.answers:
        return ""
    return said.answers[0].message.content or ""


def marked_difference(before: str, after: str) -> list[tuple[str, Marked]]:
    pieces = readable(difference(before, after))
    return [(kind, marked(text)) for kind, text in pieces]


async def _find(ask: Ask) -> Item:
    async with ask.store.reading() as connection:
        return await deciding.find(connection, ask.person.organization_id, ask.path("item"))


async def show(ask: Ask) -> Response:
    return await _page(ask, await _find(ask))


async def _page(
    ask: Ask, item: Item, error: Refused | None = None, *, preview: bool = False
) -> Response:
    desk, who = desk_of(ask), who_of(ask)
    vault = Vault(ask.console.peppers)
    try:
        view = await looking.look(desk, vault, item, **ask.by)
    except Unreadable as unreadable:
        raise Refused(str(unreadable)) from None
    is_mine = judging.bars_review(item.claim, who, ask.now_us) is None
    async with ask.store.reading() as connection:
        made = [each.review for each in await items.of_item(connection, item.request_id)]
        ids = {item.key_id, item.project_id, (item.claimed_by or "").removeprefix("account:")}
        ids |= {each.who.removeprefix("account:") for each in made}
        names = await acts.names(connection, [each for each in ids if each])
    answer = answer_of(view.conversation)
    form = given.sent(ask, text=answer, score="", note="")
    taken = _taken_over(view, form["take"])
    if taken is not None:
        form["text"] = taken
    changed = preview or (form["text"] != answer and error is not None)
    return ask.page(
        "review/item.html",
        400 if error else 200,
        item=item,
        view=view,
        parts=[] if view.conversation is None else parts_of(view.conversation, item.version),
        tools=[] if view.conversation is None else view.conversation.tools or [],
        told=_told(view),
        shown_reviews=_reviews(view, answer, names),
        final=None if view.released is None else marked_difference(answer, view.released),
        diff=marked_difference(answer, form["text"]) if changed else None,
        bar=judging.bars_claim(item.claim, made, who, ask.now_us),
        bars=deciding.SAYS,
        standing=STATES[item.claim.at(ask.now_us).state],
        stage=_stage(item),
        flags=[_flag(each) for each in item.flags],
        is_mine=is_mine,
        is_open=item.state in states.OPEN,
        may_read=looking.may_read(item, who, ask.now_us),
        can_edit=bool(view.conversation),
        answer=answer,
        names=names,
        reasons=REASONS,
        rubric=RUBRIC,
        form=form,
        faults=given.faults_of(error),
        is_editing=changed,
    )


def _stage(item: Item) -> str:
    """What becomes of a review that is given now, in a sentence."""
    if item.people > 1:
        return STAGES.get(item.state, "")
    return STAGES["alone" if item.is_held else "sent"]


def _flag(flag: str) -> tuple[str, str]:
    """A rule, and where it hit."""
    way, _, rule_id = flag.rpartition(": ")
    return rule_id, {"in": "in what was asked", "out": "in the answer"}.get(way, "")


def _taken_over(view: View, number: str) -> str | None:
    """The correction of another review that this person may see, to stand for the same words."""
    same = (words.text for made, words in view.reviews if words and str(made.number) == number)
    return next(same, None)


def _told(view: View) -> list[Part]:
    """The words of the caller's feedback."""
    found = []
    if view.said.comment:
        found.append(part("comment of the caller", view.said.comment))
    if view.said.correction:
        found.append(part("correction of the caller", view.said.correction))
    return found


def _reviews(view: View, answer: str, names: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "made": made,
            "who": names.get(made.who.removeprefix("account:"), made.who),
            "note": marked(words.note) if words else [],
            "diff": marked_difference(answer, words.text) if words and words.text else None,
        }
        for made, words in view.reviews
    ]


async def claim(ask: Ask) -> Response:
    item = await _find(ask)
    try:
        await deciding.claim(desk_of(ask), ask.person.organization_id, item.id, **ask.by)
    except NotFound:
        raise
    except Refused as error:
        return await _page(ask, item, error)
    return ask.go(f"/reviews/{item.id}", "Yours for 15 minutes.")


async def skip(ask: Ask) -> Response:
    item = await _find(ask)
    try:
        await deciding.skip(desk_of(ask), ask.person.organization_id, item.id, **ask.by)
    except NotFound:
        raise
    except Refused as error:
        return await _page(ask, item, error)
    return ask.go("/reviews", "Given back.")


async def review(ask: Ask) -> Response:
    item = await _find(ask)
    try:
        opinion = _opinion(ask)
        after = await deciding.review(
            desk_of(ask), ask.person.organization_id, item.id, opinion, **ask.by
        )
    except NotFound:
        raise
    except NotPassed as error:
        return await _page(ask, await _find(ask), given.Fault("text", str(error)))
    except Refused as error:
        return await _page(ask, await _find(ask), error)
    return ask.go("/reviews", _said(after))


def _said(item: Item) -> str:
    if item.outcome is not None:
        return f"{item.outcome.capitalize()}. You can take it back for 10 seconds."
    waits = "a second review" if item.state == "second" else "somebody who settles the dispute"
    return f"Noted; it waits for {waits}. You can take it back for 10 seconds."


def _opinion(ask: Ask) -> Opinion:
    """Raises Refused."""
    decisions: dict[str, Decision] = {each: each for each in DECISIONS}
    decision = decisions.get(ask.text("decision"))
    if decision is None:
        raise given.Fault("decision", "Say what becomes of it: release, edit or refuse.")
    score = written.whole(ask.text("score"))
    if score is None:
        raise given.Fault("score", "Score it first: press 1 to 5.")
    return Opinion(decision, score, ask.text("text"), ask.text("note"))


async def preview(ask: Ask) -> Response:
    """What a correction changes: as JSON for the page's script, or the page with the form as it
    was sent."""
    item = await _find(ask)
    if not ask.is_partial:
        return await _page(ask, item, preview=True)
    if judging.bars_review(item.claim, who_of(ask), ask.now_us) is not None:
        raise Refused(deciding.SAYS["unclaimed"])
    diff = marked_difference(
        ask.text("answer").replace("\r\n", "\n"), ask.text("text").replace("\r\n", "\n")
    )
    return Response(msgspec.json.encode(diff), media_type="application/json")


ROUTES = (
    Page("GET", "/reviews/{item}", show, "review"),
    Page("POST", "/reviews/{item}/claim", claim, "review"),
    Page("POST", "/reviews/{item}/skip", skip, "review"),
    Page("POST", "/reviews/{item}/review", review, "review"),
    Page("POST", "/reviews/{item}/difference", preview, "review"),
)
