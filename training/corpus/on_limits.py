"""What the house model knows of limits, holds and waiting."""

from collections.abc import Iterable

from training.corpus.entries import Entry, read

TEXT = """
? <what> [a limit|limits|rate limits|the kinds of limits|a rate limit]
? [which|what|what kinds of|what sorts of|how many kinds of] limits [are there|exist|does a key have|do you have|can be set|do you know]
? [what|which things] [is limited|are limited|does Keyhall limit]
? [name|list] [all|the|] [kinds of|] limits
= There are three kinds of limits: requests per minute (RPM), tokens per minute (TPM), and requests in flight.

? [what does|what is|what's|explain] [RPM|rpm|the abbreviation RPM|the word RPM] [mean|short for|]
? [meaning|definition] of [RPM|rpm]
? RPM [means what|stands for|]
= RPM is requests per minute: how many requests are admitted in any 60 seconds.

? [what does|what's|explain|tell me what] [TPM|tpm|the abbreviation TPM|the word TPM] [mean|short for|is|]
? [meaning|definition] of [TPM|tpm]
? TPM [means what|stands for|]
+ and [TPM|tpm]
= TPM is tokens per minute: how many tokens the requests of any 60 seconds may use, input and output together.

? <what> [in flight|requests in flight|the in-flight limit|a limit on requests in flight]
? what does [in flight|in-flight] mean
+ and in flight
= Requests in flight are those that run at the same moment. The limit on them bounds how many.

? [over|in|for] [what|which] [time|span of time|interval|period|window] [is|are] [a limit|limits|the rate limit|RPM|requests] [counted|measured|valid]
? how [are|is] [limits|a minute|the window|the rate limit] [counted|measured|kept]
? [is it|are limits|is the window] [a sliding window|a fixed minute|a calendar minute|sliding|rolling]
? <when> does the [window|minute] [begin|start|reset]
= In every interval of 60 seconds, wherever it begins: it is a sliding window, not a calendar minute.

? [can|could|may] [twice the limit|more than the limit|more requests than allowed|a burst] [pass|get through|be admitted|slip through] [at the turn of a minute|between two minutes|around a full minute|at the edge of a window|]
? <can> [send|get] [double|twice] [the limit|my limit|as much] [around the minute|at the turn of the minute|by waiting for a new minute|]
? [is|are] [the limit|limits] [exact|exactly kept|a guarantee|guaranteed|really kept]
= No. In every interval of 60 seconds, wherever it begins, no more than the limit is admitted.

? [which|what] [status|status code|HTTP status|error|code] [do I get|comes|is sent|is returned|will I see] [when|if|once] [a|my|the] [limit|rate limit] [is reached|is exceeded|is hit|is used up|was reached]
? [what happens|what do I get|what comes] when [I send too many requests|I exceed my limit|I hit a limit|I am over the limit|there are too many requests|I am too fast|my limit is reached]
? [I am|I'm|we are] [over|above|beyond] [my|the|our] limit, what [comes|happens]
= You get status 429 with code `rate_limit_exceeded`, and `retry-after-ms` says when to try again.

? [which|what] header [says|tells|shows] [how long|when|how many milliseconds] [to wait|I have to wait|to retry|to try again] [after a refusal|]
? how [long|do I know how long] [must|should|do|to] [I|my program] wait after a [429|refusal]
? [when|how soon] [can|should|may] I [retry|try again] [after a 429|after a refusal|when I was refused]
? [is there|where is] an exact [wait|waiting time|time to wait]
? <what> [retry-after-ms|the header retry-after-ms]
= The header `retry-after-ms` says exactly how long: a retry after that time succeeds if nothing else is admitted. `retry-after` says it in seconds.

? <how> [see|know|find out|check|tell] [how much is left|what is left|how many requests I have left|how many tokens are left|my remaining requests|the remaining limit|what I can still use]
? [which|what] header [says|tells|shows] [what is left|what remains|the remaining requests|the remaining tokens|how much I have left]
? [remaining|left] [requests|tokens|limit]
= The headers `x-ratelimit-remaining-requests` and `x-ratelimit-remaining-tokens` say it on every answer; the page Limits of the console shows it too.

? [which|what] [headers|rate limit headers] [does an answer have|are there|come with an answer|are sent]
? [which|what] header [says|names|shows] [my limit|the limit|the request limit|when it resets]
= `x-ratelimit-limit-…`, `x-ratelimit-remaining-…` and `x-ratelimit-reset-…`, each for requests and for tokens.

? <what> [a hold|holds|the hold|holding]
? what does [hold|a hold|holding] mean [in Keyhall|here|]
? why [is there|do you take] a hold
? [what is|how much is] [held|reserved] [for a request|before a request runs|]
= A hold is the reservation that a request takes before it runs: one request, its input tokens, and n times its output cap.

? what [happens|becomes of|is done with|happens to|happens with] [a hold|the hold|what was held|the unused part|tokens that were held but not used|the rest of the hold] [when a request ends|after a request|in the end|at the end|that I don't use|]
? [is|are] [the unused part of a hold|unused tokens|held tokens that were not used] [given back|returned|lost|refunded]
? <what> [settling|settle|to settle|a settle]
= When the request ends, the hold is replaced by what was used: the rest is given back at once.

? [why|when] [should|do] I set max_tokens [near what I need|low|sensibly|]
? [does|why does] [a large|a big|a high] max_tokens [matter|hurt|slow others down|block others]
? why is [a small|a low|a fitting|a realistic] max_tokens [good|better|useful]
= Because the whole output cap is held while a request runs, so a large `max_tokens` keeps others waiting. Set it near what you need.

? [what|which requests|what kind of requests] [counts|count] [as a request|against my limit|in my limits]
? [does|do|will] [a refused request|refused requests|a 429|a request with an error|a 400|a 401|a failed login] [count|be counted|use up my limit|cost something]
? [are|is] [refused requests|a refused request|429s|a refusal] [counted|charged|part of the limit]
= No, refused requests (400, 401, 403, 404, 429) count nowhere. Every admitted request counts, whatever became of it.

? [does|do] [a request|requests] [whose engine failed|that failed in the engine] count
= It counts as a request, but its tokens are given back if the engine failed before the first byte.

? [does|will] [a restart|restarting|restarting the server|a crash] [reset|clear|empty|forget] [limits|my limit|the windows|rate limits]
? [are|is] [limits|windows|the window|my limit] [reset|forgotten|cleared|lost] [by a restart|when the server restarts|after a crash]
? <can> [get around|escape|reset] [limits|a limit] by restarting [the server|]
= No, a restart gives nothing extra: the windows are rebuilt from what was recorded.

? <how> [see|find out|know|check] [which limits|what limits] [are in force|hold|a key has|my key has|apply] [for a key|and why|]
? <cmdto> [see|show] [the limits of a key|a key's limits]
? <cmd> [shows|explains|tells] [the limits of a key|which limits hold for a key]
? <where> see [my|the] limits
? [what are|which are] [my limits|the limits of my key|my key's limits]
= `keyhall limits KEY` says which limits are in force and why; the page `/limits` of the console shows them too.

? what does [x-should-retry|the header x-should-retry|x-should-retry false|x-should-retry: false] [mean|say|tell]
? [what is|when do I get] x-should-retry [false|]
? <what> [a request that can never fit|request_too_large on a 429]
? [when|why] should I not retry [a 429|a refusal]
= `x-should-retry: false` says that a retry can never succeed, because the request is larger than the limit itself. Lower `max_tokens`, `n` or the input.

? [what's|what is|explain] the difference between [limits and quotas|a quota and a limit|quotas and limits|rate limits and quotas]
? [is a quota|are quotas] the same as [a limit|limits]
? [limit or quota|quota versus limit]
= A limit bounds a minute; a quota bounds a day or a calendar month, in requests, tokens or money.

? <how> [share|keep|have] [one limit|limits] [between|across|over|among] [several servers|many processes|two machines|workers|several machines]
? [what|how] [do|does] [several processes|many servers|several workers|a cluster] [need to share limits|count together|keep one limit]
? [do|are] limits [shared|exact|counted together] [with several processes|over many servers|on several machines]
= All processes count in one Redis or Valkey: set `[redis] url` (`KEYHALL_REDIS_URL`). The limits then hold for all together.

? what happens [to limits|with the limits|] [when|if|while] Redis is [away|down|gone|dead|not reachable]
? [Redis is down|Redis died|Redis does not answer]
= Each process then counts by itself and admits its share of the limit, so together they never pass it. It returns by itself.

? [do|does] [test keys|a test key|tests] [use up|count against|take from|share] [the limits of live keys|live keys' limits|my live limits|the windows of live keys]
? [are|is] test and live [usage|traffic|requests] counted [together|separately]
? [have|do] test keys [their own limits|limits of their own|own windows]
= No: test keys have their tier's numbers in windows of their own, so tests never use up what live keys have.

? [which|what] header [names|says|shows|tells] [the output cap|my output cap|how long the answer may be|the cap of the output]
? <where> see [the output cap|my output cap|the cap that was applied]
? <what> [x-keyhall-output-cap|the header x-keyhall-output-cap]
= The header `x-keyhall-output-cap` says it.

? <what> [the output cap|an output cap]
? [what|which] output cap [holds|is used|applies] [without max_tokens|if I name none|by default|]
= The output cap is the most an answer may have: `max_tokens`, else the smallest of the version's maximum, the tier's default and the token limit less the input.

? [what is|how long is|what's] the [longest|maximum|greatest] [wait|waiting time|time to wait] [for a limit|after a 429|after a refusal|at a rate limit|]
? how long [at most|at worst] [do I|must I|can I] [wait|have to wait] [for a limit|after a refusal|]
? [can|could] [a wait|waiting|the wait|retry-after] [be|take] [longer than a minute|more than a minute|hours]
= No wait for a limit is longer than 60 seconds.

? how do [official clients|the OpenAI clients|the official libraries|OpenAI's libraries|SDKs] [react to|handle|behave at|treat|take] [a 429|rate limits|a refusal|limits]
? [do|does] [official clients|the OpenAI client|the Python client|my SDK] retry [by itself|automatically|on their own|after a refusal|]
= Official clients read `retry-after-ms` and retry twice by themselves.

? <how> [raise|increase|get higher|get more|change] [my|a key's|the] limits
? <can> [get|have|ask for] [higher|more|larger|bigger] limits
? [I need|we need] [more requests|higher limits|a higher limit|more tokens per minute]
= Ask the operator: the page Limits of the console has a form for it. Operators set limits with `keyhall keys limits KEY`.

? [what|which] limits [has|does] [a project|an organization|my organization|a team] [have|]
? [can|do] [projects|organizations] have limits [of their own|too|]
= Projects and organizations may carry limits of their own. A request is counted in all of them at once, or in none.

? what is [in the body|in the message|said] [of|in|when] a [429|refusal]
? what does a 429 [say|tell me]
= It says which limit, whose it is, how much is used, held and left, when to try again, and what would fit now.

? [does|do] [cancelled|aborted] requests count [against my limit|]
= Yes: every admitted request counts as a request, and its tokens are the input and what was produced.
"""


def entries() -> Iterable[Entry]:
    return read("limits", TEXT)
