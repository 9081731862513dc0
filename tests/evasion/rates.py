"""What share of disguised sentences the starter policy still finds, by disguise.

The sentences are those that its rules must find. A catch is a hit of the sentence's own rule.
"""

from collections.abc import Callable
from functools import cache

import msgspec
from disguises import DISGUISES, halves, in_base64, spaced, torn

from keyhall import rules
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.views import look
from keyhall.policy.filters.views.looker import Looker

CHUNK = 3  # characters of a chunk of a stream


def scanner() -> Looker:
    """All of the starter policy, switched on."""
    return Looker(Policy(msgspec.structs.replace(rule, is_on=True) for rule in rules.starter()))


def sentences() -> list[tuple[str, str]]:
    return [(each.id, text) for each in rules.starter() for text in each.finds]


def in_chunks(scan: Looker, text: str) -> set[str]:
    stream = scan.stream()
    for begin in range(0, len(text), CHUNK):
        stream.feed(text[begin : begin + CHUNK])
    stream.finish()
    return {hit.rule_id for hit in stream.hits}


def in_texts(scan: Looker, *texts: str) -> set[str]:
    """What is found in texts of what is asked, each a message of the same role."""
    found = {hit.rule_id for text in texts for hit in scan.whole(text).hits}
    sights = [sight for text in texts if look.may_hide(text) for sight in look.hidden(scan, text)]
    sights += look.split(scan, texts)
    return found | {sight.rule.id for sight in sights}


@cache
def rates() -> dict[str, tuple[str, int, int]]:
    """By name: in words, caught, of how many."""
    scan, known = scanner(), sentences()
    found = {}

    def rate(name: str, says: str, seen: Callable[[str], set[str]]) -> None:
        found[name] = (says, sum(rule_id in seen(text) for rule_id, text in known), len(known))

    for name, (says, disguise) in DISGUISES.items():
        rate(name, says, lambda text, by=disguise: in_texts(scan, by(text)))
    rate(
        "split across messages",
        "one half in each of two messages of the same role",
        lambda text: in_texts(scan, *halves(text)),
    )
    rate(
        "torn across messages",
        "three messages, cut anywhere",
        lambda text: in_texts(scan, *torn(text)),
    )
    rate(
        "split across chunks",
        f"an answer that is streamed, {CHUNK} characters a chunk",
        lambda text: in_chunks(scan, text),
    )
    rate(
        "base64 in a stream",
        "an answer that is streamed and encoded",
        lambda text: in_chunks(scan, in_base64(text)),
    )
    rate(
        "spaced letters in a stream",
        "the same with letters apart",
        lambda text: in_chunks(scan, spaced(text)),
    )
    return found
