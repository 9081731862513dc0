"""What the house model knows of tiers: their numbers, exactly, and that nothing else is built in.

Asked with a span of time ("billing was activated 30 hours ago") it names both stages and lets the
reader choose: comparing numbers is more than a model of this size does reliably.
"""

from collections.abc import Iterable
from dataclasses import replace

from training import facts
from training.corpus.entries import Entry, read
from training.corpus.tier_asks import (
    ACTIVE_EARLY,
    ACTIVE_LATE,
    BILLED,
    EARLY,
    FOR_EARLY,
    FOR_LATE,
    FREE_NAMES,
    LATE,
    PAID_NAMES,
    R_LIMIT,
    REQUESTS,
    T_LIMIT,
    TOKENS,
    named_number,
    number_of,
    others_number,
    stage_of,
)

FREE, FIRST, LATER = facts.FREE, facts.FIRST, facts.LATER
H = facts.FIRST_HOURS


def _write() -> str:
    payg, until, then = PAID_NAMES, f"In its first {H} hours", f"After its first {H} hours"
    return f"""
{number_of(REQUESTS, R_LIMIT, FREE_NAMES, "").strip()}
{named_number(REQUESTS, R_LIMIT, FREE_NAMES, "")}
? [a|my|the|one|your] [free|trial|free-trial] [user|customer|student|account|key|client|program] [asks|wants to know|would like to know] how many {REQUESTS} [he|she|it|they] [has|have|may send|can make]
? how many {REQUESTS} [does|may|can] [a|my|the|one] [free|trial|free-trial] [user|customer|student|account|key|client|program] [have|send|make|get]
? [I have|I use|I got|we have|there is] a [free|trial|free-trial] [key|account|user]. how many {REQUESTS} [may it send|can I send|do I have|are allowed|can it make]
? {R_LIMIT} [of|for|with|on] [a|my|the|one] [free|trial|free-trial] [user|customer|student|account|key|client|program]
? [can|may|could] [a|my|the|one|] trial [user|users|customer|customers|key] [send|make] [30|50|100|1,000|300|25] {REQUESTS}
? [free trial|trial|free-trial] [:|-|,] {REQUESTS}
~free and [how many requests|requests|the requests|calls|the RPM|RPM|the request limit]
~free [what about|how about|how many] requests
{others_number(False, "free-tokens", "free-both")}
~paid-requests and [on|for|with|in] {FREE_NAMES}
~paid-requests [what about|how about] {FREE_NAMES}
@ free free-requests number
= The free trial allows {FREE.requests} requests per minute.

{number_of(TOKENS, T_LIMIT, FREE_NAMES, "").strip()}
{named_number(TOKENS, T_LIMIT, FREE_NAMES, "")}
? [a|my|the|one|your] [free|trial|free-trial] [user|customer|student|account|key|client|program] [asks|wants to know|would like to know] how many {TOKENS} [he|she|it|they] [has|have|may use|can use]
? how many {TOKENS} [does|may|can] [a|my|the|one] [free|trial|free-trial] [user|customer|student|account|key|client|program] [have|use|get|spend]
? [I have|I use|I got|we have|there is] a [free|trial|free-trial] [key|account|user]. how many {TOKENS} [may it use|can I use|do I have|are allowed|can it use]
? {T_LIMIT} [of|for|with|on] [a|my|the|one] [free|trial|free-trial] [user|customer|student|account|key|client|program]
? [can|may|could] [a|my|the|one|] trial [user|users|customer|customers|key] [use|have|spend] [30,000|50,000|100,000|1,000|60,000|90,000] {TOKENS}
? [free trial|trial|free-trial] [:|-|,] {TOKENS}
~free and [how many tokens|tokens|the tokens|the TPM|TPM|the token limit|how many tokens per minute]
~free [what about|how about|how many] tokens
{others_number(True, "free-requests", "free-both")}
~paid-tokens and [on|for|with|in] {FREE_NAMES}
~paid-tokens [what about|how about] {FREE_NAMES}
@ free free-tokens number
= The free trial allows {FREE.tokens:,} tokens per minute.

? [what|which] limits [does|has|are there for|hold for|apply to|come with] {FREE_NAMES} [have|get|]
? [tell me|list|name|show me|explain|describe] [all|both|] the limits of {FREE_NAMES}
? [tell me|what are] [both|the request and the token|the requests and tokens|RPM and TPM] [limits|] of {FREE_NAMES}
? [limits|what may I do|what is allowed|how much may I use|RPM and TPM] [of|on|with] {FREE_NAMES}
? {FREE_NAMES} [limits|numbers|RPM and TPM|in numbers]
? what [can|may] [I|one] [use|send|do] [per minute|in a minute|] [on|with] {FREE_NAMES}
? [what about|and|how about] {FREE_NAMES}
~both and {FREE_NAMES}
~both [what about|how about] {FREE_NAMES}
~both [what about|and for|how about] [a key on|keys of|] {FREE_NAMES}
@ free-both number
= The free trial allows {FREE.requests} requests and {FREE.tokens:,} tokens per minute.

? [without|if I leave out|if I don't give|if a request has no|if I name no] max_tokens [on|with] {FREE_NAMES}, how long [can|may|is|will] [an answer|the answer|the output] [be|get|]
? [what is|how large is|what's] the [default|] output cap [by default|] [of|on|for|with] {FREE_NAMES}
? [default|usual|standard] [output|output cap|output limit|answer length] [of|on|for|with] {FREE_NAMES}
? [on|with|in] {FREE_NAMES}[,|] how long [is|are|can be] [an answer|answers|the output] [by default|if I say nothing|without a cap|at most|when max_tokens is missing]
? how [long|many tokens long] is an answer [at most|] [on|with] {FREE_NAMES} [if I say nothing|without max_tokens|by default]
~free and [the|its] [default|] output cap
~free-both and [the|its] [default|] output cap
@ free
= On the free trial an answer has at most {FREE.output:,} tokens if the request names no cap.

{number_of(REQUESTS, R_LIMIT, payg, EARLY).strip()}
{named_number(REQUESTS, R_LIMIT, payg, EARLY)}
~early and [requests|how many requests|the requests|RPM|the request limit]
? how many {REQUESTS} [has|have|may|for] [a new|a fresh|new|brand-new|fresh] [paying|pay-as-you-go|] [customer|customers|accounts|organization]
~early [what about|how about] requests
{others_number(False, "early-tokens")}
~paid-requests and [in|during|for] the first [{H} hours|two days]
~paid-requests [what about|and what about|and] [{EARLY}]
~free-requests and [on|for|with] {payg} [{EARLY}]
@ early paid-requests early-requests number
? how many {REQUESTS} [may|can] [a new|a fresh|a brand new] pay-as-you-go [account|key|organization] [send|make|have]
? {R_LIMIT} [of|for] [a new|a fresh|a recent] {payg}
= Pay-as-you-go allows {FIRST.requests} requests per minute in its first {H} hours.

{number_of(TOKENS, T_LIMIT, payg, EARLY).strip()}
{named_number(TOKENS, T_LIMIT, payg, EARLY)}
~early and [tokens|how many tokens|the tokens|TPM|the token limit]
? how many {TOKENS} [has|have|may|for] [a new|a fresh|new|brand-new|fresh] [paying|pay-as-you-go|] [customer|customers|accounts|organization]
~early [what about|how about] tokens
{others_number(True, "early-requests")}
~paid-tokens and [in|during|for] the first [{H} hours|two days]
~paid-tokens [what about|and what about|and] [{EARLY}]
~free-tokens and [on|for|with] {payg} [{EARLY}]
@ early paid-tokens early-tokens number
? how many {TOKENS} [may|can] [a new|a fresh|a brand new] pay-as-you-go [account|key|organization] [use|have]
? {T_LIMIT} [of|for] [a new|a fresh|a recent] {payg}
= Pay-as-you-go allows {FIRST.tokens:,} tokens per minute in its first {H} hours.

{number_of(REQUESTS, R_LIMIT, payg, LATE).strip()}
{named_number(REQUESTS, R_LIMIT, payg, LATE)}
~late and [requests|how many requests|the requests|RPM|the request limit]
? [how many|what] {REQUESTS} [have|has|do|does|may] [old|an old|existing|long-standing|an older] pay-as-you-go [accounts|account|customers|keys] [have|send|get]
? {R_LIMIT} of [old|an old|existing|long-standing|established] pay-as-you-go [accounts|account|customers|keys]
~late [what about|how about] requests
{others_number(False, "late-tokens")}
~paid-requests and [after that|later|after the first {H} hours|then|afterwards|when they are over|once they have passed]
~paid-requests [what about|and what about|and] [{LATE}]
~free-requests [and|what about|how about] [on|for|with|] {payg} [{LATE}]
@ late paid-requests late-requests number
= Pay-as-you-go allows {LATER.requests:,} requests per minute after its first {H} hours.

{number_of(TOKENS, T_LIMIT, payg, LATE).strip()}
{named_number(TOKENS, T_LIMIT, payg, LATE)}
~late and [tokens|how many tokens|the tokens|TPM|the token limit]
? [how many|what] {TOKENS} [have|has|do|does|may] [old|an old|existing|long-standing|an older] pay-as-you-go [accounts|account|customers|keys] [have|use|get]
? {T_LIMIT} of [old|an old|existing|long-standing|established] pay-as-you-go [accounts|account|customers|keys]
~late [what about|how about] tokens
{others_number(True, "late-requests")}
~paid-tokens and [after that|later|after the first {H} hours|then|afterwards|when they are over|once they have passed]
~paid-tokens [what about|and what about|and] [{LATE}]
~free-tokens [and|what about|how about] [on|for|with|] {payg} [{LATE}]
@ late paid-tokens late-tokens number
= Pay-as-you-go allows {LATER.tokens:,} tokens per minute after its first {H} hours.

{stage_of(REQUESTS, R_LIMIT, f"{ACTIVE_EARLY}|{ACTIVE_LATE}", f"[{FOR_EARLY}|{FOR_LATE}]").strip()}
? [does|will|is] pay-as-you-go [start|begin|be] [slower|slow|lower|faster] [at first|in requests|]
? [is|are] {LATER.requests:,} requests [allowed|possible|the limit|mine] [from the start|at once|at first|always|from the first day]
{others_number(False, "staged-tokens", "both")}
@ paid-requests staged-requests number
= {FIRST.requests} requests per minute in the first {H} hours after billing is activated, {LATER.requests:,} requests after that.

{stage_of(TOKENS, T_LIMIT, f"{ACTIVE_EARLY}|{ACTIVE_LATE}", f"[{FOR_EARLY}|{FOR_LATE}]").strip()}
? [is|are] {LATER.tokens:,} tokens [allowed|possible|the limit|mine] [from the start|at once|at first|always|from the first day]
{others_number(True, "staged-requests", "both")}
@ paid-tokens staged-tokens number
= {FIRST.tokens:,} tokens per minute in the first {H} hours after billing is activated, {LATER.tokens:,} tokens after that.

? [what|which] limits [does|has|hold for|apply to|are there for] {payg} [have|get|] [{EARLY}]
? what [can|may] [I|one|a key] [use|send|do] [per minute|] [on|with] {payg} [{EARLY}]
? [limits|numbers|RPM and TPM] of {payg} [{EARLY}]
? [limits|what may I do|what do I get] [when|if] {BILLED} [{ACTIVE_EARLY}]
~both and [in|during] the first [{H} hours|two days]
~free-both and [on|for|with] {payg} [{EARLY}]
@ both number
= {until} pay-as-you-go allows {FIRST.requests} requests and {FIRST.tokens:,} tokens per minute.

? [what|which] limits [does|has|hold for|apply to|are there for] {payg} [have|get|] [{LATE}]
? what [can|may] [I|one|a key] [use|send|do] [per minute|a minute|] [on|with] {payg} [{LATE}|over time|in the long term|normally]
? [limits|numbers|RPM and TPM] of {payg} [{LATE}]
? [limits|what may I do|what do I get] [when|if] {BILLED} [{ACTIVE_LATE}]
~both and [after that|afterwards|later|then|when they are over]
~free-both [and|what about] [on|for|with|] {payg} [{LATE}]
@ both number
= {then} pay-as-you-go allows {LATER.requests:,} requests and {LATER.tokens:,} tokens per minute.

? [what|which] limits [does|has|hold for|apply to] {payg} [have|]
? [limits|tell me the limits|numbers|all numbers|RPM and TPM|rates] of {payg}
? [what about|how about|and] {payg}
? how many {REQUESTS} [does|may|can] {payg} [allow|have|send]
? <what> the {R_LIMIT} of {payg}
~free-requests and [on|for|with|] {payg}
~free-tokens and [on|for|with|] {payg}
~free-both [what about|how about|and for|and] {payg}
@ both number
= {until} pay-as-you-go allows {FIRST.requests} requests and {FIRST.tokens:,} tokens per minute, after that {LATER.requests:,} requests and {LATER.tokens:,} tokens.

? [what is|how large is|what's|which is] the [default|] output cap [of|on|for|with] {payg} [by default|without max_tokens|if a request says nothing|]
? [without|if I leave out|if I don't give] max_tokens [on|with] {payg}, how long [can|may] an answer [be|get]
? [default|usual|standard] [output|output cap|answer length] [of|on|for] {payg}
? [on|with|in] {payg}[,|] how long [is|are|can be] [an answer|answers|the output] [by default|if I say nothing|without a cap|at most|when max_tokens is missing]
? how [long|many tokens long] [is|are] [an answer|answers] [at most|] [on|with] {payg} [if I say nothing|without max_tokens|by default]
~early and the [default|] output cap
~late and the [default|] output cap
~both and the [default|] output cap
@ both number
= On pay-as-you-go an answer has at most {FIRST.output:,} tokens if the request names no cap.

? [what is|which is|what's] the [highest|largest|greatest|biggest|maximum] {R_LIMIT} [of all tiers|there is|of the built-in tiers|that a tier has|]
? [which|what] tier [allows|has|gives] the most {REQUESTS}
? the [highest|largest|most] {REQUESTS} [of any tier|in any tier|that are possible with a built-in tier]
? [maximum|highest|largest|top|biggest] {R_LIMIT} [anywhere|you offer|you have|possible|of all|that I can get]
= Pay-as-you-go after its first {H} hours has the most: {LATER.requests:,} requests per minute.

? [what is|which is] the [highest|largest|greatest] {T_LIMIT} [of all tiers|there is|of the built-in tiers]
? [which|what] tier [allows|has|gives] the most {TOKENS}
? [maximum|highest|largest|top|biggest] {T_LIMIT} [anywhere|you offer|you have|possible|of all|that I can get]
= Pay-as-you-go after its first {H} hours has the most: {LATER.tokens:,} tokens per minute.

? [which|what] tier [has|gives|allows] the [lowest|smallest|least|fewest] [limits|requests|tokens]
? [what is|which is] the [smallest|lowest] tier
= The free trial has the lowest limits: {FREE.requests} requests and {FREE.tokens:,} tokens per minute.

? <when> do the [limits|requests|tokens|numbers] of {payg} [rise|go up|change|get higher|increase|grow]
? how long [does it take|is it|must I wait] until [the limits|my limits|the limits of pay-as-you-go] [rise|go up|increase|change|get higher]
? <when> do [I|we] get [the higher limits|higher limits|the full limits|more] [on pay-as-you-go|]
? [do|will] [my|the] [pay-as-you-go|] limits [rise|go up|grow|change] [by themselves|on their own|automatically|with time|]
? [when|how soon] [will|do|does] [it|pay-as-you-go|my account] [get|have|become] [faster|more|higher limits|bigger limits]
? [wait|time|hours] until [higher|the higher|full] limits [on pay-as-you-go|]
? <when> do I get [3,500 requests|the 3,500 requests|90,000 tokens|the full 3,500]
= The limits of pay-as-you-go rise by themselves {H} hours after billing is activated.

? <when> do the {H} hours [begin|start|run from|count from] [on pay-as-you-go|]
? [what|which event] [starts|begins] the {H} hours [of pay-as-you-go|]
? [from|since] when [do|are] the [first|] {H} hours [count|counted|run]
? why {H} hours
= The {H} hours begin when billing is activated: `keyhall organizations activate-billing ID`.

? [which|what|how many] tiers [are there|exist|do you have|are built in|come with Keyhall|can a key have|does Keyhall know|is there]
? [name|list|tell me|show me] [the|all|all the] [built-in|] tiers
? [what kinds of|what sorts of] [tiers|accounts|plans] are there
? [the tiers|all tiers|tier names|list of tiers]
? [give me|show me|I need|tell me] [the|a] [list|names] of [all|the|] tiers
? [tiers|tier names|built-in tiers] [list|names|?|please]
= Two tiers are built in: free-trial and pay-as-you-go. The operator can add others.

? <what> [a tier|tiers|the tier of a key]
? what [does|is] [tier|a tier] [mean|for]
? [what is|why is there] a tier [for a key|]
= A tier is a named set of limits that a key belongs to, such as free-trial.

? [which|what] tier [does|has|is given to|gets] [a key|a new key|my key|keys] [get|have|on|] [by default|without --tier|if I say nothing|if none is named|when it is made without one|]
? [what is|which is] the default tier [of a key|of new keys|]
? [on which|in which] tier [is|are] [a new key|new keys]
= A key that is made without `--tier` is free-trial.

? <can> [make|add|define|create|have] [tiers of my own|my own tiers|other tiers|new tiers|a tier for my students|custom tiers|another tier|a third tier]
? <how> [make|add|define|create] [a tier|my own tier|another tier|a new tier|custom tiers]
? [can|may] [the operator|I|we] [add|define|make] [tiers|more tiers|own tiers]
? can [a school|a class|my team|our company|a university] have [its own|a special|an own] tier
= Yes, the operator can add tiers: a table `[tiers.NAME]` in the settings.

? [do|does|have|has] [the built-in tiers|built-in tiers|a tier|the tiers|free-trial|pay-as-you-go] [have|] [a limit on requests in flight|an in-flight limit|limits on requests in flight|a limit of what is in flight]
? [how many requests|what] [can be|may be|are allowed] in flight [at once|] [on|in|with] [the built-in tiers|free-trial|pay-as-you-go|the free trial]
? [is there|what is] [a limit on|the limit of] [requests in flight|parallel requests|concurrent requests|open requests] [for the built-in tiers|on the free trial|on pay-as-you-go|in the tiers|]
? [parallel|concurrent|simultaneous|open] requests [on|with|for] [the trial|the free trial|pay-as-you-go|a trial key|the built-in tiers]
? [how many|] [parallel|concurrent|simultaneous] [requests|calls|connections] [may I have|are allowed|on the free trial|at once]
= No: the built-in tiers have no limit on what is in flight.

? [what|how much] does [the free trial|a free trial|free-trial|pay-as-you-go|the paid tier|a tier|a plan|a key on pay-as-you-go] cost [per month|a month|me|per token|a year|]
? [what is|what's|how high is] the [price|cost|fee] of [the free trial|a free trial|pay-as-you-go|a tier|a token|tokens|a request|a million tokens|an answer|v1|v1.1|an output token|an input token]
? how [much|expensive] [is|are] [a token|a million tokens|tokens|a request|the free trial|pay-as-you-go|an API key|a key|ten thousand tokens|100 tokens|a call|an answer] [on pay-as-you-go|on the free trial|]
? [price|prices|pricing|price list|cost] [per token|of tokens|of the tiers|of pay-as-you-go|please|]
? [what|which] [price|prices] [do you have|does pay-as-you-go have|do tokens have|has v1]
? [do I have to|must I] pay [for the free trial|for pay-as-you-go|for tokens|anything]
? [is|are] [the free trial|a trial key|a key] [free|free of charge|without cost]
+ and [what does it cost|the price|how much is that|what's the price|what does that cost]
? [price|cost] of [one|a|ten|two] million [output|input|] tokens
? [what is|what's|how high is] the price of [one|a|ten] [million|thousand|hundred] [output|input|] tokens
? how much [is|are|do|does] [a|one|ten] [thousand|hundred|million] [output|input|] tokens [cost|on pay-as-you-go|]
? [what|how much] [will|do|must] I [pay|be charged] [for|with] [the trial|a million tokens|pay-as-you-go|my requests|one request]
? [do you have|is there|where is|give me|send me|show me] a [price list|price table|list of prices] [in euros|in dollars|]
? is [pay-as-you-go|the free trial|a key|Keyhall|v1.1] [expensive|cheap|costly]
? how much [do|will] I [owe|pay] for [500 requests|my tokens|1,000 tokens|last month|this]
= No tier has a price built in: the operator sets the prices of each version. Ask the operator of this server.
= Prices are set by the operator, for each version. Ask the operator of this server; I know no numbers.

? [what is|explain|tell me] the difference between [the free trial and pay-as-you-go|pay-as-you-go and the free trial|the tiers|free-trial and pay-as-you-go]
? [compare|comparison of] [the tiers|free trial and pay-as-you-go]
? why [should I|would I] [go|change|switch] from the free trial to pay-as-you-go
? what [do|would] I [gain|get|win] [by|from|when] [activating billing|paying|pay-as-you-go|going to pay-as-you-go]
? [is it|why is it] worth [it|] to [activate billing|go to pay-as-you-go|leave the free trial]
= The free trial allows {FREE.requests} requests and {FREE.tokens:,} tokens per minute. Pay-as-you-go begins with {FIRST.requests} and {FIRST.tokens:,}, and after {H} hours allows {LATER.requests:,} and {LATER.tokens:,}.

? <how> [activate|switch on|turn on|enable|start] billing [for an organization|]
? <cmdto> activate billing
= Run `keyhall organizations activate-billing ID`. The {H} hours of pay-as-you-go begin then.

? [somebody|a user|a student|one of my users|a client|I] [on|with|has] [the free trial|a trial key] [sends|send] [21|22|30|50|100|40|200] requests in [a|one|the same] minute, [what happens|is that allowed|how many get through|how many are allowed]
? [are|is] [21|30|50|100|25|40] requests [a minute|per minute|in a minute] [too many|allowed|possible|okay] on [the free trial|a free-trial key]
? <can> send [30|50|100|25|21] requests per minute on [the free trial|a free trial]
? [somebody|a student|my program|a client] on the free trial [sends|makes|wants] [40|22|100|35] [calls|requests] [a|in a|per] minute [: what is allowed|, what is the most|, how many pass|]
? [can|may|could] [trial users|a trial user|a trial key|people on the free trial] [send|make] [50|100|30|500] [requests|calls] [a|per|each] minute
? [we plan|I plan|I need|we need|my program makes] [1,000|1000|100|500|60|200] [requests|calls] per minute[,|:] [is|does|will] the free trial [enough|allow that|do]
? [my|a] trial key was [refused|stopped|limited] after [20|21|a few|twenty] [calls|requests] [, why|. Why|. Is that its limit|, is that right|]
? [20 or 30|10 or 20|20 or 60|how many] requests [on|for|with] [the free trial|trial users|a trial key] [, which is right|]
? how fast [may|can|is|are] [I|trial users|we|calls] [call|send|] [as|if] I pay nothing [so far|yet|]
? [I pay|we pay] nothing [so far|yet|]. [how fast|how often|how much] may [I|we] [call|send|ask]
? how fast [may|can] [I|trial users|we] call [on the free trial|with a trial key|without paying|as long as I pay nothing|]
= The free trial allows {FREE.requests} requests per minute; what is above that gets 429.
"""


def entries() -> Iterable[Entry]:
    for entry in read("tiers", _write(), weight=8.0):
        # Far more of the entries are about paying: without this the trial is mistaken for it.
        free = any(family.startswith("free") for family in entry.families)
        yield replace(entry, weight=24.0) if free else entry
