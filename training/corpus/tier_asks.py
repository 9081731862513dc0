"""How people ask for one number of one tier: what they call it, and the frames around that."""

from training import facts

H = facts.FIRST_HOURS
assert H == 48, "the spans of time below lie on either side of 48 hours"

# How people call each tier, and the time in which a stage of it holds.
# Whose limit it is: the same nouns for every tier, so that only the word before them tells which.
_NOUN = (
    "[user|customer|account|key|client|student|program|organization|project|person|member|team|"
    "class|participant|guest|developer]"
)
_NOUNS = (
    "[users|customers|accounts|keys|clients|students|programs|organizations|projects|people|"
    "members|teams|classes|participants|guests|developers]"
)
FREE_NAMES = (
    f"[[a|the|my|one|each|every|some|this|your|our|] [trial|free|free-trial|free trial|unpaid] {_NOUN}|"
    f"[the|all|my|our|] [trial|free|free-trial|free trial|unpaid] {_NOUNS}|"
    f"[a|the|my|our|] {_NOUN} [on|of|with|in] [the|a|] [trial|free trial|free-trial|free tier|free plan]|"
    f"[a|the|one] {_NOUN} [that|who] [pays nothing|does not pay|has not paid|is on trial|tries it out]|"
    "[the|a|your|] [free trial|free-trial|free tier|trial|free trial tier|tier free-trial|"
    "free plan|trial tier|free-trial tier|trial version|trial period|free version|test phase]|"
    "trial|free trial|free-trial]"
)
PAID_NAMES = (
    f"[[a|the|my|one|each|every|some|this|your|our|] [paying|pay-as-you-go|paid|payg|pay as you go] {_NOUN}|"
    f"[the|all|my|our|] [paying|pay-as-you-go|paid|payg] {_NOUNS}|"
    f"[a|the|my|our|] {_NOUN} [on|of|with|in] [the|] [pay-as-you-go|paid tier|paid plan|payg]|"
    f"[a|the|one] {_NOUN} [that|who] [pays|is paying|has paid|pays for it]|"
    "pay-as-you-go|pay as you go|the tier pay-as-you-go|the pay-as-you-go tier|payg|the paying tier|"
    "the paid tier|the paid plan]"
)
EARLY = (
    f"[in|during|within|for] [the|its|my] first [{H} hours|two days|2 days|{H}h]|at first|"
    "at the beginning|at the start|in the beginning|initially|early on|when it is new|"
    f"before the {H} hours are over|in the first stage|right after billing is activated|"
    "to begin with|on the first day|on the second day|on day one|on day two|day one|the first day|"
    "on the very first day|while it is new|during the starting period|in the starting phase"
)
LATE = (
    f"after [the first|] [{H} hours|two days|2 days|{H}h]|after that time|later|later on|"
    f"after the first {H} hours|once [the first|] {H} hours [have passed|are over|are gone]|"
    "in the second stage|after the first stage|after a week|after a month|in the end|"
    "when two days have passed|on the third day|after three days|permanently|for good|eventually|"
    "on day three|on day four|day ten|on the tenth day|after the starting period|over the long term|"
    "from the third day on|once the first two days are over|normally, after the start"
)
_HOURS_EARLY = "|".join(
    f"{n} hours" for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 20, 24, 30, 36, 40, 47)
)
_HOURS_LATE = "|".join(f"{n} hours" for n in (49, 50, 52, 55, 60, 70, 72, 80, 96, 100, 120))
_DAYS_LATE = "|".join(f"{n} days" for n in (3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 20, 25, 30, 60, 90))
FOR_EARLY = f"[{_HOURS_EARLY}|an hour|one hour|two hours|a day|one day|half a day|ten minutes|some minutes|half an hour|a few hours|five hours|twelve hours]"
FOR_LATE = f"[{_DAYS_LATE}|{_HOURS_LATE}|three days|four days|five days|a week|one week|two weeks|three weeks|a month|two months|half a year|a year|many days|several weeks|some months|a long time]"
ACTIVE_EARLY = f"{FOR_EARLY} ago|yesterday|today|this morning|just now|this afternoon|last night|a moment ago|right now"
ACTIVE_LATE = f"{FOR_LATE} ago|last week|last month|last year|long ago|the week before last"
BILLED = "[billing was activated|I activated billing|we activated billing|my billing was switched on|I switched billing on|billing began|my billing started|I turned billing on|we enabled billing]"

REQUESTS = (
    "[requests|calls|requests per minute|requests a minute|calls per minute|calls a minute|RPM|"
    "requests/min|req/min|requests/minute|reqs per minute|requests each minute|requests in a minute|requests within a minute|API calls per minute]"
)
TOKENS = (
    "[tokens/min|tokens/minute|tok/min|tokens|tokens per minute|tokens a minute|TPM|tokens each minute|tokens in a minute|"
    "tokens in 60 seconds]"
)
R_LIMIT = (
    "[requests/min|RPM|request limit|rpm|limit on requests|limit of requests|rate limit|requests per minute|"
    "number of requests per minute|RPM limit|limit on requests per minute|allowed requests]"
)
T_LIMIT = (
    "[tokens/min|TPM|token limit|tpm|limit on tokens|limit of tokens|tokens per minute|TPM limit|"
    "number of tokens per minute|limit on tokens per minute|allowed tokens]"
)
MAY = "[may|can|does|could|am I allowed to|might]"
SEND = "[send|make|have|do|get|use|allow|give|start]"


def number_of(what: str, limit: str, who: str, when: str) -> str:
    """Questions for one number of one tier, as lines."""
    at = f"[{when}]" if when else ""
    return f"""
? how many {what} [may|can|does|could|is] {who} [send|make|have|do|get|use|allow|allowed|give|start|] {at}
? how many {what} [may|can|do] I [send|make|have|do|get|use] [on|with|in|under] {who} {at}
? {at} how many {what} [does|may|can] {who} [allow|have|send|use|get]
? <what> the {limit} [of|for|on|in|with] {who} {at}
? {limit} [of|for|on|in|] {who} {at}
? {who} {at} {limit}
? {who} {limit} {at}
? [what|which] {limit} [does|has|is there for|holds for|applies to] {who} [have|get|] {at}
? [how high|how large|how big] is the {limit} [of|for|on] {who} {at}
? [is there|what is] a [limit|maximum] [on|for|of] {what} [with|on|for] {who} {at}
? the most {what} {at} [on|with|for] {who}
? [I am|I'm|we are] on {who}. how many {what} [do I have|may I send|can I use|are there|do we get] {at}
? [I have|I got|they gave me|my students have] {who}. [what is|what's|and] the {limit} {at}
? {who}, [{when or "please"}]: {what}
? {at}: {what} [on|for|with] {who}
? {who} [asks|wants to know|needs to know] how many {what} [he has|she has|they have|are allowed|they may use|it may send] {at}
? [somebody|a customer|a student|a friend|someone] [on|with] {who} {at} [asks|wants to know][:|] [how many|the] {what}
? [what is|what's] [right|the right number|correct] for {who} {at}: [10|20|30|60|100|3,500] or [40|90|600|1,000|60,000] {what}
? [I want to know|tell me|what about|please tell me|I need to know|remind me of] the {limit} [of|for|on] {who} {at}
? [may|can] {who} [send|use|have|make] [more than|over] [10|50|100|30|1,000|5,000|a hundred] {what} {at}
? if [I|somebody|we|one] [stay|stays|am|is|are] on {who} {at}, how many {what} [are there|fit|can be sent|are possible]
? {what} [per key|] [under|with|for] {who} {at}
? [with|on|under] {who} {at}[,|] [what|which] {limit} [applies|holds|counts|is in force|do I get]
? after how many {what} [is|are|will] {who} {at} [be|] [stopped|cut off|refused|blocked|limited]
? at [what|which] number is the {limit} [of|for] {who} {at} [set|]
? [what's|what is] [allowed|permitted|the allowance|the cap|the ceiling|the upper bound|the most] in {what} [for|on|with] {who} {at}
? up to how many {what} [is|are] [fine|okay|possible|included|permitted|allowed] [for|on|with|in] {who} {at}
? [number|amount] of {what} [that|] {who} {at} [gets|has|may use|is given]
? {who} [gives|offers|grants|includes|has|comes with|means] how many {what} {at}
? {what} {who} {at}
? {who} {at} {what}
? {who} {at}[,|:|-] {what}[,| please|]
? [quick question|one question|just a question|short question][:|,] {who} {at}, {what}
? [not the other limit|I know the other limit], [just|only] {what} [of|on|for|with] {who} {at}
? [is|are] [100|50|1,000|10,000|200|25|500] {what} [okay|allowed|too much|possible] [on|with|for] {who} {at}
"""


def stage_of(what: str, limit: str, ago: str, since: str) -> str:
    """Questions that say for how long billing has been active."""
    return f"""
? [we|I] [began with|started|went to|switched to|changed to|moved to|joined] pay-as-you-go [{ago}][,|:|.] [how many|what about the] {what}
? [{ago}] [we|I] [began with|started|went to|switched to|changed to|moved to] pay-as-you-go[,|:|.] [how many|] {what}
? {BILLED} [{ago}]. how many {what} [may|can|do] I [send|use|have|get|make] [now|]
? {BILLED} [{ago}][,|:] [what is|what's|which is|] my {limit} [now|]
? {BILLED} [{ago}][,|:|.] {limit}
? [what is|what's|how high is] my {limit} [if|when] {BILLED} [{ago}]
? [I'm|I am|we are] on pay-as-you-go [and|,] {BILLED} [{ago}], [what's|what is] [my|the] {limit}
? how many {what} [may|can] I [send|use|make] [when|if] {BILLED} [{ago}]
? [billing is|billing has been|my billing has been|our billing is|billing was] [active|on|activated|switched on] [for|since] {since}. how many {what} [may|can] I [send|use] [now|]
? [billing is|billing has been|my billing has been|billing] [active|on|running] [for|since] {since}[.|,|:] [what is|what's|and|] [my|the|] {limit}
? [I have been|I've been|we have been] on pay-as-you-go for {since}. [how many|what about] {what}
? pay-as-you-go [for|since] {since}[:|,] {limit}
? {limit} of pay-as-you-go {since} after [activation|billing was activated|the start]
"""


# What may follow a question about the other limit of the same tier.
_REQUESTS_TOO = "[requests|calls|RPM|requests per minute|the requests|the RPM]"
_TOKENS_TOO = "[tokens|TPM|tokens per minute|tokens/min|the tokens|the TPM]"


def others_number(tokens: bool, *families: str) -> str:
    """Short questions that only say which number is meant: the tier is that of the question before."""
    what = _TOKENS_TOO if tokens else _REQUESTS_TOO
    limit = T_LIMIT if tokens else R_LIMIT
    return "\n".join(
        f"""
~{family} {what}
~{family} and {what} [then|there|too|as well|]
~{family} [and|] [in|for|of|with] {what}
~{family} [what about|how about|and what of] {what} [there|then|]
~{family} [the same|same question|same] [for|in|with|about] {what}
~{family} [and|] [how many|what is it in|what number of|how much in] {what}
~{family} [and|] [the|what is the|what's the|which is the] {limit} [there|then|]
~{family} [ok|okay|good|thanks|I see|fine][,| and|. And] {what}
~{family} [so|then] how many {what} [are there|do I have|is it|] [then|]
~{family} I [also|] [need|want to know|meant] the {what} [too|]
""".strip()
        for family in families
    )


def named_number(what: str, limit: str, who: str, when: str) -> str:
    """Short questions that name both, after any other number: who was spoken of counts no more."""
    at = f"[{when}]" if when else ""
    return f"""
~number [and|] {what} [on|for|of|with|in] {who} {at}
~number [and|what about|how about|now] {who} {at}[:|,|] [how many|] {what}
~number [what about|how about|and] the {limit} [of|for|on|with] {who} {at}
~number [and|] how many {what} [has|have|for|on|may] {who} {at}
~number [no, I mean|I meant|sorry, I meant|not that one,] {who} {at}[:|,] {what}
""".strip()
