"""What the filter costs: CPU of this process for short texts at 2,000 terms and 50 patterns.

Each number is the least of many runs, for the machine has other work too; what one run takes
more is not the filter's. Texts are short, as most prompts are; an event is a word of a stream.
"""

import argparse
import gc
import json
import random
import re
import time
from collections.abc import Callable

import msgspec

from keyhall.policy.filters import built_in
from keyhall.policy.filters.compiled import Policy
from keyhall.policy.filters.rules import Rule
from keyhall.policy.filters.scan import Scanner
from keyhall.policy.filters.views import look
from keyhall.policy.filters.views.looker import Looker
from keyhall.rules import starter

TERMS, PATTERNS = 2_000, 50
PROMPT = (
    "What is the capital of France, and how many people live there today? Answer in a sentence."
)
PROSE = (
    "The capital of France is Paris, and about two million people live there today; the wider area "
    "has some twelve million. It lies on the Seine, in the north of the country. "
) * 6
NUMBERS = "In 1998 there were 42 of 310 rooms, and token7 cost 19.99 euros on day 12. " * 8
RUSSIAN = "Столица Франции — Париж, и там сегодня живут около двух миллионов человек. " * 6
HOSTILE = {
    "one letter": "a", "fullwidth": "\uff21\uff11", "Cyrillic": "\u0431\u0430", "U+FDFA": "\ufdfa",
    "accounts": "DE89 3704 ", "keys": "sk-kh_", "marks": "\u0301",
}  # fmt: skip
CODE = """for index, name in enumerate(sorted(names)):
    print(f"{index:>4} {utf8(name)}", hashlib.sha256(name.encode()).hexdigest()[:16])
"""
DISGUISED = {
    "letters apart": "b.o.m.b ", "gaps": "a b. c  d- ", "base64": "aGVsbG8gdGhlcmUgeW91 ",
    "percent signs": "%2541a", "entities": "&amp;#38;a", "digits": "b0mb ",
}  # fmt: skip
MIB = 1 << 20


def policy() -> Policy:
    drawn = random.Random(1)
    terms = tuple(
        "".join(drawn.choices("abcdefghijklmnopqrstuvwxyz", k=drawn.randint(4, 12)))
        for _ in range(TERMS)
    )
    mine = built_in.rules(list(built_in.GROUPS))
    more = [
        Rule(
            id=f"p{n}", stage="pattern", action="flag", pattern=rf"\bkey{n}[-_][A-Za-z0-9]{{16,40}}"
        )
        for n in range(PATTERNS - len(mine))
    ]
    return Policy([*mine, *more, Rule(id="t", stage="terms", action="block", terms=terms)])


def least_us(work: Callable[[], object], count: int, rounds: int) -> float:
    """CPU microseconds of one of `count`, at best."""
    best = float("inf")
    for _ in range(rounds):
        before = time.process_time_ns()
        work()
        best = min(best, time.process_time_ns() - before)
    return best / count / 1000


def measure(rounds: int) -> dict:
    before = time.process_time()
    compiled = policy()
    result: dict = {"compile_ms": round(1000 * (time.process_time() - before))}
    scanner = Scanner(compiled)
    result["request_us"] = least_us(
        lambda: [scanner.whole(PROMPT) for _ in range(200)], 200, rounds
    )
    starting = (msgspec.structs.replace(rule, is_on=True) for rule in starter())
    flags = Scanner(Policy([*compiled.rules, *starting]))
    for name, text, used in (
        ("event_us", PROSE, scanner),
        ("event_digits_us", NUMBERS, scanner),
        ("event_cyrillic_us", RUSSIAN, scanner),
        ("event_starter_us", PROSE, flags),
    ):
        pieces = re.findall(r" ?\w+|\W", text)

        def stream(pieces: list[str] = pieces, used: Scanner = used) -> None:
            feed = (one := used.stream()).feed
            for piece in pieces:
                feed(piece)
            one.finish()

        result[name] = least_us(stream, len(pieces), rounds)
    for name, shape in HOSTILE.items():
        text = (shape * (MIB // len(shape.encode()) + 1)).encode()[:MIB].decode("utf-8", "ignore")
        result[f"mib_ms {name}"] = least_us(lambda text=text: scanner.whole(text), 1000, 3)
    looker = Looker(compiled)
    for name, text in (("no_view_us", PROMPT), ("view_code_us", CODE)):

        def views(text: str = text) -> None:
            for _ in range(200):
                if look.may_hide(text):
                    look.hidden(looker, text)

        result[name] = least_us(views, 200, rounds)
    halves = (PROMPT[:40], PROMPT[40:])
    result["joint_us"] = least_us(
        lambda: [look.split(looker, halves) for _ in range(200)], 200, rounds
    )
    for name, shape in DISGUISED.items():
        text = (shape * (MIB // len(shape) + 1))[:MIB]
        result[f"views_mib_ms {name}"] = least_us(
            lambda text=text: look.hidden(looker, text), 1000, 3
        )
    return {name: round(value, 2) for name, value in result.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    gc.disable()
    found = measure(options.rounds)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:27} {value:10,.2f}")
