"""Questions to develop with: as the exam's in kind, not in words, and never trained on as they are.

While the corpus is being improved these are looked at one by one; of the exam, topics alone.
"""

from training import facts
from training.exam.grader import Question, number

FREE, FIRST, LATER = facts.FREE, facts.FIRST, facts.LATER
PAID = (FIRST, LATER)


def _of(topic: str, asked: str, *must: str, no: tuple[str, ...] = ()) -> Question:
    return Question(topic, (asked,), must, no)


def _tier(
    asked: str, *must: str, of: tuple[facts.TierFacts, ...] = (FREE, FIRST, LATER)
) -> Question:
    return Question("tiers", (asked,), must, (), of)


QUESTIONS = (
    _of("keys", "I'd like another API key, what do I run?", "keys create"),
    _of("keys", "is there any way to un-revoke something", r"\bno\b|never"),
    _of("keys", "our intern pasted the key in Slack", "revok"),
    _of("keys", "the key should only work from our office", "--ip"),
    _of("keys", "how do you save keys on the server side?", "hmac|digest"),
    _of("keys", "temporarily stop a key", "pause"),
    _of("keys", "can the old key and its successor overlap for two weeks?", number(7)),
    _of("keys", "does a colleague need a key of his own?", r"own|never shared|no"),
    _of("keys", "why does my key begin with sk-kh_test?", "test"),
    _of("keys", "whose is a key?", "project"),
    _of("keys", "I want a key that dies at the end of the month", "--expires"),
    _of("keys", "what belongs into an env variable?", "key|openai_api_key"),
    _of("limits", "I was throttled. how long until I can go on?", "retry-after-ms|60"),
    _of("limits", "do failed logins eat up my rate limit?", r"\bno\b"),
    _of("limits", "which headers show the remaining budget of tokens?", "x-ratelimit"),
    _of("limits", "explain the concept of holds", "reserv"),
    _of("limits", "is the minute a calendar minute?", "sliding|every interval|wherever"),
    _of("limits", "max_tokens is set to 4000 in all my calls, is that a problem?", "held|hold"),
    _of("limits", "two servers behind a load balancer: are limits still exact?", "redis|valkey"),
    _of("limits", "rpm meaning", "requests per minute"),
    _tier("rate limits of the free trial?", number(FREE.requests)),
    _tier("how much may I send as a trial user in one minute?", number(FREE.requests)),
    _tier("tokens/min on free-trial", number(FREE.tokens)),
    _tier("billing was activated 3 hours ago, rpm?", number(FIRST.requests), of=PAID),
    _tier("billing on since two weeks. tpm?", number(LATER.tokens), of=PAID),
    _tier("payg, day one: requests per minute", number(FIRST.requests), of=PAID),
    _tier("payg, day five: requests per minute", number(LATER.requests), of=PAID),
    _tier("What will my limits be when the 48 hours are over?", number(LATER.requests), of=PAID),
    _tier("do I have to pay for the trial?", "operator|price"),
    _tier("what's the price of one million output tokens?", "operator|price"),
    _tier("is there an enterprise tier?", "no such|only|operator"),
    _tier("give me the list of tiers", "free-trial", "pay-as-you-go"),
    _tier("20 or 30 requests per minute for trial users, which is right?", number(FREE.requests)),
    _tier("My trial key was refused after 20 calls. Is that its limit?", number(FREE.requests)),
    _tier("Can trial users send 50 requests a minute?", number(FREE.requests)),
    _tier(
        "We plan 1000 requests per minute, does the free trial allow that?", number(FREE.requests)
    ),
    _tier("I pay nothing so far. How fast may I call?", number(FREE.requests)),
    _tier("For students on the free trial: tokens per minute?", number(FREE.tokens)),
    _tier("A trial customer asks how many tokens a minute he has.", number(FREE.tokens)),
    _tier("tell me the tpm for trial keys", number(FREE.tokens), of=(FREE,)),
    _tier("how long are answers on a trial key when max_tokens is missing", number(FREE.output)),
    _tier("which output length does free-trial get by default?", number(FREE.output), of=(FREE,)),
    _tier("on pay-as-you-go, how long are answers by default", number(LATER.output), of=PAID),
    _tier(
        "Yesterday we began with pay-as-you-go. Requests per minute?",
        number(FIRST.requests),
        of=PAID,
    ),
    _tier(
        "We went to pay-as-you-go 5 minutes ago: how many tokens in a minute?",
        number(FIRST.tokens),
        of=PAID,
    ),
    _tier(
        "my billing has been active for 90 days, how many requests can I make?",
        number(LATER.requests),
        of=PAID,
    ),
    _tier("what TPM do old pay-as-you-go accounts have?", number(LATER.tokens), of=PAID),
    _tier("how many requests for brand-new paying customers?", number(FIRST.requests), of=PAID),
    _tier("how many tokens in the first 2 days of paying", number(FIRST.tokens), of=PAID),
    _tier("after two days of paying, tokens per minute?", number(LATER.tokens), of=PAID),
    _tier("is 3,500 the limit of requests from the start?", number(FIRST.requests), of=PAID),
    _tier("Does pay-as-you-go start slower?", number(FIRST.requests), of=PAID),
    _tier("what do I gain by activating billing?", number(LATER.requests)),
    _tier("maximum rpm anywhere", number(LATER.requests), of=PAID),
    _tier("maximum tpm you offer", number(LATER.tokens), of=PAID),
    _tier("key without a tier, what holds?", "free-trial"),
    _tier("what triggers the 48 hours?", "billing"),
    _tier("when do I get 3,500 requests?", number(48)),
    _tier("Is pay-as-you-go expensive?", "operator|price"),
    _tier("How much do I owe for 500 requests?", "operator|price|console|/spending"),
    _tier("Do you have a price list in euros?", "operator|price"),
    _tier("parallel requests on the trial?", r"no limit|\bno\b"),
    _tier("can a school have its own tier?", "yes|operator|no such"),
    _of("tokens", "how many words is a token", r"four|piece"),
    _of("tokens", "can v1 read a text of 10,000 tokens?", number(4096)),
    _of("tokens", "my prompt is huge, can you cut it for me?", "truncation"),
    _of("tokens", "tool to count tokens", "tokens count"),
    _of("tokens", "is the answer billed too or only the question?", "both|output"),
    _of("tokens", "I want answers of at most 100 tokens", "max_tokens"),
    _of("tokens", "what's in usage?", "prompt_tokens"),
    _of("versions", "is v1.1 better?", "repeat"),
    _of("versions", "does v1 mean the same model forever?", "alias|operator|never|move"),
    _of("versions", "how can my experiment be repeated next year?", "own name|seed|version"),
    _of("versions", "a model I use says Sunset in its headers", "retire|deprecat"),
    _of("versions", "point v1 at our new model", "aliases move"),
    _of("versions", "which versions exist, command", "versions list"),
    _of("errors", "429 what is that", "limit|quota"),
    _of("errors", "HTTP code for a missing scope", number(403)),
    _of("errors", "code engine_timeout", r"504|in time"),
    _of("errors", "Which error class for 401 in Python", "authenticationerror"),
    _of("errors", "the api says insufficient_quota", "used up"),
    _of("errors", "why would I get context_length_exceeded", "longer|too long|shorten"),
    _of("errors", "the server returned 503", "busy|away|retry"),
    _of("errors", "what does the error JSON look like", "message", "code"),
    _of("streaming", "get tokens one by one", "stream"),
    _of("streaming", "[DONE]?", "end|stream"),
    _of("streaming", "token usage while streaming", "include_usage"),
    _of(
        "streaming", "user closes the browser tab in the middle of an answer", "produced|250|leaves"
    ),
    _of("streaming", "why lines with a colon", "keep-alive|silence"),
    _of("metering", "do you keep my chats", r"\bno\b|nothing"),
    _of("metering", "monthly spending cap for a key", "quota|budget"),
    _of("metering", "power failure: what about the numbers", "250|open"),
    _of("metering", "who fixes the prices", "operator"),
    _of("metering", "invoice for October", "statements"),
    _of("metering", "what if the database disk is full", "spool"),
    _of("set-up", "run it", "make serve|keyhall serve"),
    _of("set-up", "which port", number(8484)),
    _of("set-up", "does my existing OpenAI code still work?", "yes"),
    _of("set-up", "I want to use my local llama.cpp with it", "upstream|engines add"),
    _of("set-up", "how do I save everything before an update?", "backup"),
    _of("set-up", "what's the sandbox good for", "without a model|no ai|test"),
    _of("set-up", "prometheus", "/metrics"),
    _of("set-up", "my install seems broken", "doctor"),
    _of("set-up", "password too short?", number(12)),
    _of("small talk", "heya", "hello|hi"),
    _of("small talk", "so what are you?", "keyhall"),
    _of("small talk", "thank u", "welcome"),
    _of("small talk", "what do you know?", "keyhall"),
    _of("refusals", "how tall is mount everest?", "keyhall"),
    _of("refusals", "write an email to my landlord", "keyhall"),
    _of("refusals", "is my cat sick?", "keyhall"),
    _of("refusals", "who painted the mona lisa", "keyhall"),
    _of("refusals", "best pasta in town?", "keyhall"),
    _of("refusals", "fix this bug in my C code", "keyhall"),
    _of("refusals", "what is 9 times 9?", "keyhall", no=("81",)),
)
