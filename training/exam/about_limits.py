"""Questions about limits and tiers."""

from training import facts
from training.exam.grader import Question, number

FREE, FIRST, LATER = facts.FREE, facts.FIRST, facts.LATER
HOURS = number(facts.FIRST_HOURS)


def _tier(asked: str | tuple[str, ...], *must: str, of: tuple[facts.TierFacts, ...]) -> Question:
    turns = (asked,) if isinstance(asked, str) else asked
    return Question("tiers", turns, must, tiers=of)


def _limit(asked: str, *must: str, no: tuple[str, ...] = ()) -> Question:
    return Question("limits", (asked,), must, no)


_PAID = (FIRST, LATER)
_ALL = (FREE, FIRST, LATER)

TIERS = (
    _tier("How many requests per minute may a free trial send?", number(FREE.requests), of=(FREE,)),
    _tier("What's the RPM on the free trial?", number(FREE.requests), of=(FREE,)),
    _tier("I have a free-trial key. How many tokens can I use in a minute?",
          number(FREE.tokens), of=(FREE,)),
    _tier("free trial token limit?", number(FREE.tokens), of=(FREE,)),
    _tier("TPM of the free tier please", number(FREE.tokens), of=(FREE,)),
    _tier("What limits does the free trial have?",
          number(FREE.requests), number(FREE.tokens), of=(FREE,)),
    _tier("Tell me both the request limit and the token limit of a free-trial key.",
          number(FREE.requests), number(FREE.tokens), of=(FREE,)),
    _tier("If I don't set max_tokens on the free trial, how long can an answer get?",
          number(FREE.output), of=(FREE,)),
    _tier("default output cap free-trial", number(FREE.output), of=(FREE,)),
    _tier("Someone on the free trial sends 25 requests in one minute, what is the most they may?",
          number(FREE.requests), of=(FREE,)),
    _tier("How many calls per minute does pay-as-you-go allow during the first two days?",
          number(FIRST.requests), of=(FIRST,)),
    _tier("I activated billing an hour ago. What is my request limit per minute?",
          number(FIRST.requests), of=_PAID),
    _tier("I just switched on billing, how many tokens per minute do I get?",
          number(FIRST.tokens), of=_PAID),
    _tier("What is the TPM of pay-as-you-go in its first 48 hours?",
          number(FIRST.tokens), of=_PAID),
    _tier("RPM for a new pay as you go account?", number(FIRST.requests), of=_PAID),
    _tier("Which limits hold for pay-as-you-go at the beginning?",
          number(FIRST.requests), number(FIRST.tokens), of=_PAID),
    _tier("And how many requests a minute once the first 48 hours of pay-as-you-go have passed?",
          number(LATER.requests), of=_PAID),
    _tier("What's the request limit of pay-as-you-go after two days?",
          number(LATER.requests), of=_PAID),
    _tier("Billing has been active for a week. What's my token limit per minute?",
          number(LATER.tokens), of=_PAID),
    _tier("tpm pay-as-you-go after 48 hours", number(LATER.tokens), of=_PAID),
    _tier("What can I use per minute on pay-as-you-go in the long run?",
          number(LATER.requests), number(LATER.tokens), of=_PAID),
    _tier("What is the biggest number of requests a minute that a built-in tier allows?",
          number(LATER.requests), of=_ALL),
    _tier("Which output cap does pay-as-you-go use if a request names none?",
          number(LATER.output), of=_PAID),
    _tier("How long does it take until my pay-as-you-go limits rise?",
          rf"{HOURS}|two days", of=_PAID),
    _tier("When do the 48 hours of pay-as-you-go begin?", r"billing", of=_PAID),
    _tier("Name the tiers that come built in.", "free-trial|free trial", "pay-as-you-go", of=_ALL),
    _tier("Which tier does a key get if I don't choose one?", "free-trial|free trial", of=_ALL),
    _tier(("How many requests per minute on the free trial?",
           f"A free trial may send {FREE.requests} requests per minute.",
           "and tokens?"), number(FREE.tokens), of=(FREE,)),
    _tier(("What is the token limit of the free trial?",
           f"A free trial may use {FREE.tokens:,} tokens per minute.",
           "What about pay-as-you-go after the first 48 hours?"),
          number(LATER.tokens), of=_PAID),
    _tier(("How many requests may I send on pay-as-you-go in the first 48 hours?",
           f"In the first 48 hours pay-as-you-go allows {FIRST.requests} requests per minute.",
           "and after that?"), number(LATER.requests), of=_PAID),
    _tier("What does the free trial cost per month?",
          r"price|operator|free|not (say|know)|no (built-in )?price", of=(FREE,)),
    _tier("How much is a thousand tokens on pay-as-you-go?",
          r"operator|price|version", of=_PAID),
    _tier("Is there a limit on requests in flight for the built-in tiers?",
          r"\b(no|not|none|without)\b", of=_ALL),
    _tier("Can I define tiers of my own?", r"yes|can|operator|settings|\[tiers", of=_ALL),
)  # fmt: skip

LIMITS = (
    _limit("Which kinds of limits does Keyhall have?", "requests", "tokens", "flight"),
    _limit("What does RPM stand for?", "requests per minute"),
    _limit("what is TPM", "tokens per minute"),
    _limit("Over what time span is a limit counted?", r"60|sixty|minute"),
    _limit("Can more than the limit get through around the turn of a minute?",
           r"\b(no|never|not|every|any)\b"),
    _limit("What status code do I get when I'm over my rate limit?", number(429)),
    _limit("Which header tells me exactly how long to wait after a 429?", "retry-after-ms"),
    _limit("How do I see how many requests I have left?", "x-ratelimit-remaining|/limits|limits"),
    _limit("What is a hold?", r"reserv|before|most it may|held", ),
    _limit("What happens to the unused part of a hold when a request ends?",
           r"(given|gives|give|goes) back|returned|replaced|becomes|freed"),
    _limit("Does a request that was refused count against my limit?", r"\b(no|not|never|nothing)\b",
           no=(r"^yes",)),
    _limit("Are my windows empty again after the server restarts?",
           r"\b(no|not|nothing|rebuilt|remember)\b", no=(r"^yes",)),
    _limit("If I rotate a key, do I get a second set of limits?", r"\b(no|share|shared|same)\b",
           no=(r"^yes",)),
    _limit("How do I find out which limits are in force for a key?", "keyhall limits"),
    _limit("Why should I set max_tokens close to what I need?", r"hold|held|reserv"),
    _limit("What does x-should-retry: false mean on a 429?", r"never|not|no use|cannot|can't"),
    _limit("What is the difference between a limit and a quota?", "minute", "day|month"),
    _limit("How can I share limits between several processes?", "redis|valkey"),
    _limit("Do test keys use up the windows of live keys?", r"\b(no|not|never|own|separate)\b",
           no=(r"^yes",)),
    _limit("Which response header names my output cap?", "x-keyhall-output-cap"),
    _limit("What is the longest time I may have to wait for a rate limit to clear?",
           r"60|sixty|minute"),
    _limit("How do official clients react to a 429?", r"retr|wait"),
)  # fmt: skip

QUESTIONS = (*LIMITS, *TIERS)
