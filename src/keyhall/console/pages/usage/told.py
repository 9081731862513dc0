"""A request's story in words: what was held, used and given back, what it cost, or why it was
refused and what to do about it.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from keyhall import errors
from keyhall.console.pages.usage.figures import took
from keyhall.console.render import THIN, count, money
from keyhall.errors import Problem
from keyhall.flows.observe.requests import Found
from keyhall.policy.metering import Disconnect, Outcome, Usage, UsageSource
from keyhall.policy.pricing import cost_nano
from keyhall.ports.requests import Refusal

OUTCOMES = {
    Outcome.ANSWERED: ("Answered", "good"),
    Outcome.CLIENT_LEFT: ("Client left", "warn"),
    Outcome.ENGINE_FAILED: ("Engine failed", "bad"),
    Outcome.KEY_REVOKED: ("Key revoked", "bad"),
    Outcome.CRASHED: ("Server died", "bad"),
    Outcome.STOPPED: ("Server stopped", "bad"),
    Outcome.STALLED: ("Client stalled", "warn"),
}
ENDED = {
    Outcome.ANSWERED: "The whole answer was handed to the client's connection.",
    Outcome.CLIENT_LEFT: "The client closed its connection before the end.",
    Outcome.ENGINE_FAILED: "The engine failed before the answer was whole.",
    Outcome.KEY_REVOKED: "The key was revoked while the request ran, which ended it.",
    Outcome.CRASHED: "The server died while the request ran; what was used was read from its "
    "journal at the next start.",
    Outcome.STOPPED: "The server was stopped, and the request ran past the time it waits.",
    Outcome.STALLED: "The client took nothing of the answer for too long.",
}
COUNTED = {
    UsageSource.ENGINE: "The engine counted, and its count lies within what was held.",
    UsageSource.COUNTED: "Keyhall counted what was delivered, with the model's own tokenizer.",
    UsageSource.ESTIMATED: "Nobody counted exactly: Keyhall estimated from what was delivered.",
    UsageSource.LOST: "The journal was lost: the input and the whole output cap are charged.",
}
LEFT = {
    Disconnect.ABORT: "If the client leaves, the engine is stopped and what was produced is "
    "charged.",
    Disconnect.DRAIN: "If the client leaves, the engine goes on to its end and all of it is "
    "charged.",
}


def held(usage: Usage) -> list[str]:
    """The hold, what became of it, and what was given back."""
    used = usage.input_tokens + usage.output_tokens
    margin = usage.held_tokens - usage.output_cap
    said = [
        f"At admission {count(usage.held_tokens)} tokens were held in the limits of the key, its "
        f"project and its organization: {count(margin)} for the input, and "
        f"{count(usage.output_cap)} for the longest answer it could get."
    ]
    if not used:
        return [*said, "Nothing was used, and all of it was given back. The request itself counts."]
    back = usage.held_tokens - used
    said.append(
        f"It used {count(usage.input_tokens)} in and {count(usage.output_tokens)} out, together "
        f"{count(used)}."
    )
    if back > 0:
        said.append(f"The other {count(back)} were given back at its end.")
    elif not back:
        said.append("That is all that was held.")
    else:
        said.append(f"That is {count(-back)} more than was held: the engine counts otherwise.")
    return said


def cost(found: Found) -> str:
    """The arithmetic, where the price of that time is known and gives what was charged."""
    usage = found.usage
    assert usage is not None
    if not usage.cost_nano:
        return "It cost nothing." if not usage.is_test else "Test keys cost nothing."
    total = money(usage.cost_nano)
    if found.price is None:
        return f"It cost {total}."
    inp, out = found.price
    if cost_nano(usage.input_tokens, usage.output_tokens, inp, out) != usage.cost_nano:
        return f"It cost {total}."
    return (
        f"{count(usage.input_tokens)} in {TIMES} {_price(inp)} + "
        f"{count(usage.output_tokens)} out {TIMES} {_price(out)} a million = {total}, rounded up "
        "once."
    )


TIMES = "\N{MULTIPLICATION SIGN}"


def _price(micro: int) -> str:
    return money(micro * 1000)


# --- Refusals -------------------------------------------------------------------------------------


def problem_of(row: str) -> Problem | None:
    return errors.TABLE.get(row)


_TITLES = {
    "rate_requests": "Requests a minute",
    "rate_tokens": "Tokens a minute",
    "rate_in_flight": "Requests in flight",
    "request_too_large": "Never fits the limit",
    "quota_exhausted": "Quota used up",
    "context_length": "Conversation too long",
    "output_too_large": "Output cap too large",
    "model_unknown": "No such model",
    "scope_missing": "Not in the key's scope",
    "broken_json": "No JSON",
}


def status_words(row: str) -> str:
    """A row of the error table in few words."""
    if row in _TITLES:
        return _TITLES[row]
    words = row.replace("_", " ")
    return words[:1].upper() + words[1:]


def why(refusal: Refusal) -> list[str]:
    """The decision in words, with its numbers."""
    facts: dict[str, Any] = msgspec.json.decode(refusal.facts)
    said = _WHY.get(refusal.row)
    sentences = []
    if said is not None:
        with contextlib.suppress(KeyError):  # Not all that is kept says all of it.
            sentences = said(facts)
    if not sentences:
        sentences = [f"The request was refused with {refusal.status}: {refusal.row}."]
    if "field" in facts:
        sentences.append(f"It is about the field “{facts['field']}” of the request.")
    if not refusal.is_admitted:
        sentences.append("It used nothing and counts nowhere.")
    return sentences


def _number(facts: dict[str, Any], name: str) -> str:
    value = facts[name]
    return count(value) if isinstance(value, int) else str(value)


def _wait(facts: dict[str, Any]) -> str:
    wait_us = facts.get("wait_us")
    return f"The same request would have fitted {took(wait_us)} later." if wait_us else ""


def _requests(facts: dict[str, Any]) -> list[str]:
    return [
        f"The {facts['scope']} may send {_number(facts, 'limit')} requests a minute.",
        f"In the 60 seconds before, {_number(facts, 'used')} were used and "
        f"{_number(facts, 'held')} were open: there was no room for one more.",
        _wait(facts),
    ]


def _tokens(facts: dict[str, Any]) -> list[str]:
    said = [
        f"The {facts['scope']} may use {_number(facts, 'limit')} tokens a minute.",
        f"In the 60 seconds before, {_number(facts, 'used')} were used and "
        f"{_number(facts, 'held')} held by open requests.",
        f"This request wanted to hold {_number(facts, 'requested')}; "
        f"{_number(facts, 'remaining')} were left.",
        _wait(facts),
    ]
    if facts.get("fits_now"):
        said.append(
            f"One of at most {_number(facts, 'fits_now')} tokens would have fitted at once."
        )
    return said


def _in_flight(facts: dict[str, Any]) -> list[str]:
    return [
        f"The {facts['scope']} may have {_number(facts, 'limit')} requests open at a time, and "
        f"{_number(facts, 'used')} were."
    ]


def _too_large(facts: dict[str, Any]) -> list[str]:
    return [
        f"It wanted to hold {_number(facts, 'requested')} tokens, and the {facts['scope']} may "
        f"use {_number(facts, 'limit')} a minute: it can never fit."
    ]


def _quota(facts: dict[str, Any]) -> list[str]:
    return [
        f"The quota of the {facts['scope']} is {_number(facts, 'amount')} "
        f"{facts['resource']} {facts['period']}.",
        f"{_number(facts, 'used')} were used and {_number(facts, 'held')} held by open requests; "
        f"this one might need {_number(facts, 'requested')}.",
        str(facts.get("until", "")),
    ]


def _context(facts: dict[str, Any]) -> list[str]:
    tokens, limit = facts.get("tokens"), facts.get("limit")
    said = [
        f"The messages have {_number(facts, 'tokens')} tokens; the model takes "
        f"{_number(facts, 'limit')}."
    ]
    if isinstance(tokens, int) and isinstance(limit, int):
        said.append(f"That is {count(tokens - limit)} too many.")
    return said


def _output(facts: dict[str, Any]) -> list[str]:
    return [
        f"It asked for up to {_number(facts, 'asked')} tokens of output; the model gives at most "
        f"{_number(facts, 'limit')}."
    ]


def _bound(facts: dict[str, Any]) -> list[str]:
    got = f"it was {_number(facts, 'got')}, and " if "got" in facts else ""
    return [f"A value is out of bounds: {got}the bound is {_number(facts, 'bound')}."]


_WHY: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "rate_requests": _requests,
    "rate_tokens": _tokens,
    "rate_in_flight": _in_flight,
    "request_too_large": _too_large,
    "rate_none": lambda facts: [f"The {facts['scope']} is limited to nothing."],
    "quota_exhausted": _quota,
    "spend_limit": _quota,
    "quota_held": _quota,
    "context_length": _context,
    "output_too_large": _output,
    **dict.fromkeys(
        ("integer_too_small", "integer_too_large", "decimal_too_small", "decimal_too_large",
         "array_too_long", "string_too_long", "object_too_large", "too_deep"), _bound,
    ),
    "key_paused": lambda facts: [f"The key is paused since {facts.get('at', 'earlier')}."],
    "key_revoked": lambda facts: [f"The key was revoked on {facts.get('at', 'an earlier day')}."],
    "key_expired": lambda facts: [f"The key expired on {facts.get('at', 'an earlier day')}."],
    "ip_refused": lambda facts: ["It came from an address that is not on the key's list."],
    "scope_missing": lambda facts: ["The key's scopes do not cover this endpoint or model."],
    "model_unknown": lambda facts: ["There is no model of the name it asked for."],
    "model_forbidden": lambda facts: ["The project may not use the model it asked for."],
    "broken_json": lambda facts: ["Its body is not JSON."],
}  # fmt: skip


def line_of_time(usage: Usage) -> dict[str, Any]:
    """Where the marks of the timeline stand, from 0 to 600, and what they say."""
    total = max(1, usage.finished_at_us - usage.admitted_at_us)
    first = usage.first_byte_us
    return {
        "first": None if not first else round(600 * min(first, total) / total, 1),
        "first_said": took(first),
        "total_said": took(total),
        "rest_said": took(max(0, total - first)),
        "speed": _speed(usage, total - first),
    }


def _speed(usage: Usage, us: int) -> str:
    if not usage.first_byte_us or us < 50_000 or usage.output_tokens < 2:
        return ""
    return f"{usage.output_tokens * 1_000_000 / us:.0f}{THIN}tokens a second"


def curl(base_url: str, version: str | None, *, is_stream: bool) -> str:
    """The request again, but for what it said: that is not kept."""
    body: dict[str, Any] = {
        "model": version or "v1",
        "messages": [{"role": "user", "content": "..."}],
    }
    if is_stream:
        body["stream"] = True
    text = msgspec.json.format(msgspec.json.encode(body), indent=2).decode()
    return (
        f"curl {base_url}/v1/chat/completions \\\n"
        '  -H "Authorization: Bearer $OPENAI_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{text}'"
    )
