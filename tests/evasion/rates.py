"""What share of disguised sentences the starter policy still finds, by disguise.

The sentences are those that its rules must find. A catch is a hit of the sentence's own rule.
"""

from functools import cache

import msgspec
from disguises import DISGUISES, halves

from keyhall import rules
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.scan import Scanner

CHUNK = 3  # characters of a chunk of a stream


def scanner() -> Scanner:
    """All of the starter policy, switched on."""
    return Scanner(Policy(msgspec.structs.replace(rule, is_on=True) for rule in rules.starter()))


def sentences() -> list[tuple[str, str]]:
    return [(each.id, text) for each in rules.starter() for text in each.finds]


def in_chunks(scan: Scanner, text: str) -> set[str]:
    stream = scan.stream()
    for begin in range(0, len(text), CHUNK):
        stream.feed(text[begin : begin + CHUNK])
    stream.finish()
    return {hit.rule_id for hit in stream.hits}


@cache
def rates() -> dict[str, tuple[str, int, int]]:
    """By name: in words, caught, of how many."""
    scan, known = scanner(), sentences()
    found = {}
    for name, (says, disguise) in DISGUISES.items():
        caught = sum(
            rule_id in {hit.rule_id for hit in scan.whole(disguise(text)).hits}
            for rule_id, text in known
        )
        found[name] = (says, caught, len(known))
    caught = sum(rule_id in in_chunks(scan, text) for rule_id, text in known)
    found["split across chunks"] = (f"streamed, {CHUNK} characters a chunk", caught, len(known))
    caught = sum(
        any(rule_id in {hit.rule_id for hit in scan.whole(half).hits} for half in halves(text))
        for rule_id, text in known
    )
    found["split across messages"] = ("one half in each of two messages", caught, len(known))
    return found
