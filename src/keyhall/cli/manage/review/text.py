"""Items, reviews and scorecards as text and as JSON."""

from typing import Any

import msgspec

from keyhall.cli.manage import show, words
from keyhall.flows.content import conversation
from keyhall.flows.review.looking import View
from keyhall.policy.review.differences import difference
from keyhall.policy.review.marked import marked
from keyhall.policy.review.rules import Rules
from keyhall.ports.review import Item, Scorecard, mean

SIGNS = {"same": "", "out": "-", "in": "+"}


def json_of(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "completion": f"chatcmpl-{item.request_id}",
        "organization": item.organization_id,
        "project": item.project_id,
        "key": item.key_id,
        "version": item.version,
        "reasons": list(item.reasons),
        "flags": list(item.flags),
        "held": item.is_held,
        "people": item.people,
        "state": item.state,
        "claimed_by": item.claimed_by,
        "entered_at": words.stamp(item.entered_at_us),
        "deadline": words.stamp(item.deadline_us),
        "at_deadline": item.at_deadline,
        "decided_at": words.stamp(item.decided_at_us),
        "outcome": item.outcome,
    }


def harmless(text: str) -> str:
    """What strangers wrote, for a terminal: hidden characters by their names."""
    return "".join(f"<{name}>" if name else piece for piece, name in marked(text))


def view_json(view: View) -> dict[str, Any]:
    return {
        **json_of(view.item),
        "conversation": msgspec.to_builtins(view.conversation),
        "feedback": None
        if view.told is None
        else {
            "thumb": view.told.thumb,
            "score": view.told.score,
            "category": view.told.category,
            **msgspec.to_builtins(view.said),
        },
        "reviews": [
            {
                "who": made.who,
                "decision": made.decision,
                "score": made.score,
                "at": words.stamp(made.at_us),
                "text": None if written is None else written.text,
                "note": "" if written is None else written.note,
            }
            for made, written in view.reviews
        ],
        "hidden_reviews": view.hidden,
    }


def describe(view: View) -> None:
    item = view.item
    show.facts(
        (
            ("Item", item.id),
            ("State", item.outcome or item.state),
            ("Why", ", ".join(item.reasons)),
            ("Rules that hit", ", ".join(item.flags)),
            ("Caller", "waits" if item.is_held else "has the answer"),
            ("Version", item.version),
            ("Key", item.key_id),
            ("Claimed by", item.claimed_by or ""),
            ("Deadline", f"{words.when(item.deadline_us)} UTC, then {item.at_deadline}"),
        )
    )
    if view.conversation is not None:
        show.line()
        for who, said in conversation.turns(view.conversation):
            show.line(f"{harmless(who)}: {harmless(said)}")
    for name in ("comment", "correction"):
        if words_of := getattr(view.said, name):
            show.line(f"\nCaller's {name}: {harmless(words_of)}")
    answer = answer_of(view)
    for made, written in view.reviews:
        show.line(f"\n{made.who} scored {made.score} of 5: {made.decision}")
        if written is not None and written.note:
            show.line(harmless(written.note))
        if written is not None and written.text is not None:
            show.line(changes(answer, written.text))
    if view.hidden:
        show.line(f"\n{words.counted(view.hidden, 'review')} hidden until you have given yours.")


def answer_of(view: View) -> str:
    said = view.conversation
    return (said.answers[0].message.content or "") if said and said.answers else ""


def changes(before: str, after: str) -> str:
    """Word by word: `[-out-]` and `[+in+]`."""
    pieces = [(SIGNS[kind], harmless(text)) for kind, text in difference(before, after)]
    return "".join(f"[{sign}{text}{sign}]" if sign else text for sign, text in pieces)


def rules_json(rules: Rules) -> dict[str, Any]:
    return {
        "hold": rules.hold,
        "flagged": rules.flagged,
        "feedback": rules.feedback,
        "sample_percent": rules.sample / 10,
        "people": rules.people,
        "deadline_seconds": rules.deadline_s,
        "at_deadline": rules.at_deadline,
        "export": rules.export,
        "webhook": rules.webhook,
    }


def card_json(card: Scorecard) -> dict[str, Any]:
    return {
        "version": card.version,
        "answers": card.answers,
        "thumbs_up": card.up,
        "thumbs_down": card.down,
        "scores": list(card.scores),
        "score_mean": mean(card.scores),
        "corrections": card.corrections,
        "reviewed": card.reviewed,
        "released": card.released,
        "edited": card.edited,
        "refused": card.refused,
        "review_scores": list(card.review_scores),
        "review_score_mean": mean(card.review_scores),
    }


def show_cards(cards: list[Scorecard]) -> None:
    """Side by side: a column per version."""

    def share(part: int, whole: int) -> str:
        return f"{part:,} ({100 * part / whole:.0f} %)" if whole else "0"

    def score(counts: tuple[int, ...]) -> str:
        found = mean(counts)
        return "none" if found is None else f"{found:.1f} of {sum(counts):,}"

    lines = [
        ("Answers", [f"{each.answers:,}" for each in cards]),
        ("Thumbs up", [share(each.up, each.up + each.down) for each in cards]),
        ("Thumbs down", [share(each.down, each.up + each.down) for each in cards]),
        ("Score by callers", [score(each.scores) for each in cards]),
        ("Corrections by callers", [f"{each.corrections:,}" for each in cards]),
        ("Reviewed", [f"{each.reviewed:,}" for each in cards]),
        ("Score by reviewers", [score(each.review_scores) for each in cards]),
        ("Released as it was", [share(each.released, each.reviewed) for each in cards]),
        ("Corrected", [share(each.edited, each.reviewed) for each in cards]),
        ("Refused", [share(each.refused, each.reviewed) for each in cards]),
    ]
    show.table(
        ("Of callers and reviewers", *((each.version, "right") for each in cards)),
        [(name, *cells) for name, cells in lines],
    )
