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
? [rpm|RPM] [meaning|definition|abbreviation|?|explained|is what]
= RPM is requests per minute: how many requests are admitted in any 60 seconds.

? [what does|what's|explain|tell me what] [TPM|tpm|the abbreviation TPM|the word TPM] [mean|short for|is|]
? [meaning|definition] of [TPM|tpm]
? TPM [means what|stands for|]
+ and [TPM|tpm]
? [tpm|TPM] [meaning|definition|abbreviation|?|explained|is what]
= TPM is tokens per minute: how many tokens the requests of any 60 seconds may use, input and output together.

? <what> [in flight|requests in flight|the in-flight limit|a limit on requests in flight]
? what does [in flight|in-flight] mean
+ and in flight
= Requests in flight are those that run at the same moment. The limit on them bounds how many.

? [over|in|for] [what|which] [time|span of time|interval|period|window] [is|are] [a limit|limits|the rate limit|RPM|requests] [counted|measured|valid]
? how [are|is] [limits|a minute|the window|the rate limit] [counted|measured|kept]
? [is it|are limits|is the window] [a sliding window|a fixed minute|a calendar minute|sliding|rolling]
? <when> does the [window|minute] [begin|start|reset]
? is the [minute|window|limit] [a|per] [calendar minute|clock minute|sliding window|fixed window|rolling]
? [does|do] [the|my] [window|limit|limits|counter] [reset|start anew|begin again] [every minute|at the full minute|on the minute|each minute]
? [sliding|fixed|rolling|moving] window
? [span|period|time span|length|interval] of [a limit|the window|rate limits|the limits]
= In every interval of 60 seconds, wherever it begins: it is a sliding window, not a calendar minute.

? [can|could|may] [twice the limit|more than the limit|more requests than allowed|a burst] [pass|get through|be admitted|slip through] [at the turn of a minute|between two minutes|around a full minute|at the edge of a window|]
? <can> [send|get] [double|twice] [the limit|my limit|as much] [around the minute|at the turn of the minute|by waiting for a new minute|]
? [is|are] [the limit|limits] [exact|exactly kept|a guarantee|guaranteed|really kept]
? [can|could] [a client|somebody|one|I] [send|get|make] [twice|double|more than] [the limit|RPM|as many] [around|over|at] [the turn|the end|the edge] of [a|the] [minute|window]
? [burst|bursts|a burst] [over|at|around] [the minute|the window's edge|two windows] [, possible|]
? [can|could|does] [anything|a request|something|somebody] [more|] [slip|get|pass] [through|by|past] [the limit|limits|]
= No. In every interval of 60 seconds, wherever it begins, no more than the limit is admitted.

? [which|what] [status|status code|HTTP status|error|code] [do I get|comes|is sent|is returned|will I see] [when|if|once] [a|my|the] [limit|rate limit] [is reached|is exceeded|is hit|is used up|was reached]
? [what happens|what do I get|what comes] when [I send too many requests|I exceed my limit|I hit a limit|I am over the limit|there are too many requests|I am too fast|my limit is reached]
? [I am|I'm|we are] [over|above|beyond] [my|the|our] limit, what [comes|happens]
? [what|which code|which status|what error] [when|if|do I get when] [I'm|I am] [rate limited|throttled|too fast|over my RPM|above my limit|over the limit]
? [I sent|somebody sent|my script sends] too many requests [, what comes back|, what happens|]
? [status|code|error] [for|of|at] [too many requests|a reached limit|a rate limit|throttling]
= You get status 429 with code `rate_limit_exceeded`, and `retry-after-ms` says when to try again.

? [which|what] header [says|tells|shows] [how long|when|how many milliseconds] [to wait|I have to wait|to retry|to try again] [after a refusal|]
? how [long|do I know how long] [must|should|do|to] [I|my program] wait after a [429|refusal]
? [when|how soon] [can|should|may] I [retry|try again] [after a 429|after a refusal|when I was refused]
? [is there|where is] an exact [wait|waiting time|time to wait]
? <what> [retry-after-ms|the header retry-after-ms]
? [I was|I am|I got|we were] [throttled|rate limited|refused|limited] [, how long until I can go on|. When can I go on|, when may I continue|, how long do I wait|]
? [exact|precise|right] [time|wait|waiting time|delay] [after|for|on] [a 429|being limited|a refusal|throttling]
? [how many|which] [milliseconds|seconds] [must|should|do] [I|a client|my client] wait
? [where|in which header] [stands|is|do I find] [the wait|how long to wait|the time to wait|the waiting time|the delay]
? [I|my program|we] [was|got|were|gets] [throttled|limited|blocked|stopped] [: how long|, how long|. How long] [until I can go on|must I wait|do I wait|does it take]
= The header `retry-after-ms` says exactly how long: a retry after that time succeeds if nothing else is admitted. `retry-after` says it in seconds.

? <how> [see|know|find out|check|tell] [how much is left|what is left|how many requests I have left|how many tokens are left|my remaining requests|the remaining limit|what I can still use]
? [which|what] header [says|tells|shows] [what is left|what remains|the remaining requests|the remaining tokens|how much I have left]
? [remaining|left] [requests|tokens|limit]
? [which|what] headers [show|tell|have|hold] [the remaining|what remains of|my remaining] [budget|tokens|requests|budget of tokens|limit|allowance]
? [how many|how much] [requests|tokens|of my limit] [are|is|do I have|have I] [left|remaining] [this minute|in this window|now|]
? [see|show|check|read] [remaining|left] [requests|tokens|limits]
? [am I|how do I see whether I am] [close to|near] [the|my] limit
= The headers `x-ratelimit-remaining-requests` and `x-ratelimit-remaining-tokens` say it on every answer; the page Limits of the console shows it too.

? [which|what] [headers|rate limit headers] [does an answer have|are there|come with an answer|are sent]
? [which|what] header [says|names|shows] [my limit|the limit|the request limit|when it resets]
= `x-ratelimit-limit-…`, `x-ratelimit-remaining-…` and `x-ratelimit-reset-…`, each for requests and for tokens.

? <what> [a hold|holds|the hold|holding]
? what does [hold|a hold|holding] mean [in Keyhall|here|]
? why [is there|do you take] a hold
? [what is|how much is] [held|reserved] [for a request|before a request runs|]
? [explain|describe|what is] [the concept of|the idea of|the meaning of] [holds|a hold|holding]
? [how do|how does|how] [holds|a hold|holding] work
? [a hold|holds] [meaning|explained|definition|?]
? [why are|why do you take|what are] [tokens held|holds|held tokens] [before a request|in advance|]
? what is [taken|reserved|set aside] before a request [runs|starts|]
? [explain|describe|tell me about] [the concept|the idea|the principle|the notion] of [a hold|holds|holding]
? [hold|holds] [concept|idea|principle|?|explained]
= A hold is the reservation that a request takes before it runs: one request, its input tokens, and n times its output cap.

? what [happens|becomes of|is done with|happens to|happens with] [a hold|the hold|what was held|the unused part|tokens that were held but not used|the rest of the hold] [when a request ends|after a request|in the end|at the end|that I don't use|]
? [is|are] [the unused part of a hold|unused tokens|held tokens that were not used] [given back|returned|lost|refunded]
? <what> [settling|settle|to settle|a settle]
? [do|will] I [get back|recover|lose] [what I did not use|unused tokens|the rest of a hold|what was held too much]
? [held|reserved] but [unused|not used] [tokens|, what then|]
? [when|how] is a hold [released|ended|settled|given back|freed]
? [after|once|when] [a request|my request|an answer] [ends|is over|is finished|is done], what [becomes of|happens to|happens with] [the hold|the reservation|held tokens]
= When the request ends, the hold is replaced by what was used: the rest is given back at once.

? [why|when] [should|do] I set max_tokens [near what I need|low|sensibly|]
? [does|why does] [a large|a big|a high] max_tokens [matter|hurt|slow others down|block others]
? why is [a small|a low|a fitting|a realistic] max_tokens [good|better|useful]
? max_tokens [is set to|is|=] [4000|4096|3000|2000|very high|the maximum] [in all my calls|everywhere|always|in every request] [, is that a problem|, is that bad|, good idea|, okay]
? [should|must|do] I [lower|set|reduce|choose|pick] [a small|a low|my|a fitting|a realistic|] max_tokens
? [is|why is] [a large|a huge|too large a|a high] max_tokens [bad|a problem|a bad idea|not good|harmful]
? [good|sensible|best|right] value [of|for] max_tokens
? [max_tokens|my max_tokens] is [4000|3500|4096|at the maximum|very large|set high] [everywhere|in all calls|always|] [, is that a problem|: a problem|, is that okay|, does it matter|]
? [does|is] [a high|a big|a huge|setting a high] max_tokens [a problem|bad|wasteful|cost me|matter|harm]
= Because the whole output cap is held while a request runs, so a large `max_tokens` keeps others waiting. Set it near what you need.

? [what|which requests|what kind of requests] [counts|count] [as a request|against my limit|in my limits]
? [does|do|will] [a refused request|refused requests|a 429|a request with an error|a 400|a 401|a failed login] [count|be counted|use up my limit|cost something]
? [are|is] [refused requests|a refused request|429s|a refusal] [counted|charged|part of the limit]
? [do|does|will] [failed logins|wrong keys|refused calls|rejected requests|errors|a bad request|invalid requests|denied requests] [eat up|use up|count towards|count against|reduce|cost] [my|the] [limit|rate limit|RPM|limits|quota|window]
? [I got|after] [a 429|a 400|a 401|an error], [is that counted|does it count|did it count|does that cost something]
? [is|are] [an error|errors|a rejected request|rejected requests|failed requests] [free|counted|part of RPM|charged]
= No, refused requests (400, 401, 403, 404, 429) count nowhere. Every admitted request counts, whatever became of it.

? [does|do] [a request|requests] [whose engine failed|that failed in the engine] count
= It counts as a request, but its tokens are given back if the engine failed before the first byte.

? [does|will] [a restart|restarting|restarting the server|a crash] [reset|clear|empty|forget] [limits|my limit|the windows|rate limits]
? [are|is] [limits|windows|the window|my limit] [reset|forgotten|cleared|lost] [by a restart|when the server restarts|after a crash]
? <can> [get around|escape|reset] [limits|a limit] by restarting [the server|]
? [the server|Keyhall|the machine] [was restarted|restarts|crashed|restarted|rebooted] [, are limits reset|, do limits start anew|, is my window empty|, what about limits]
? [limits|windows|rate limits|my window] after [a restart|a reboot|a crash|restarting]
? [is|are] [my|the] [window|limit|limits|counters] [zero|fresh|new|empty|full] after [a restart|a reboot|restarting]
= No, a restart gives nothing extra: the windows are rebuilt from what was recorded.

? <how> [see|find out|know|check] [which limits|what limits] [are in force|hold|a key has|my key has|apply] [for a key|and why|]
? <cmdto> [see|show] [the limits of a key|a key's limits]
? <cmd> [shows|explains|tells] [the limits of a key|which limits hold for a key]
? <where> see [my|the] limits
? [what are|which are] [my limits|the limits of my key|my key's limits]
? [where does|why is|where comes] my limit [come from|so low|what it is|from]
? [why|how come] [is my limit|do I have only|is the limit] [so low|20 requests|this one|what it is]
? [explain|show|tell me] [my|a key's|the] limits [and their reasons|]
? [limits|limit] of [my|a certain|this] key [, which command|, how do I see them|]
= `keyhall limits KEY` says which limits are in force and why; the page `/limits` of the console shows them too.

? what does [x-should-retry|the header x-should-retry|x-should-retry false|x-should-retry: false] [mean|say|tell]
? [what is|when do I get] x-should-retry [false|]
? <what> [a request that can never fit|request_too_large on a 429]
? [when|why] should I not retry [a 429|a refusal]
? [header|the header|response header] x-should-retry
? x-should-retry [meaning|false|: false|is false|says false]
? [my|a] request [can|will] never [fit|succeed|be admitted|pass]
? [is it|when is it] [useless|pointless|no use|in vain] to [retry|try again] [a 429|]
= `x-should-retry: false` says that a retry can never succeed, because the request is larger than the limit itself. Lower `max_tokens`, `n` or the input.

? [what's|what is|explain] the difference between [limits and quotas|a quota and a limit|quotas and limits|rate limits and quotas]
? [is a quota|are quotas] the same as [a limit|limits]
? [limit or quota|quota versus limit]
? [limits|limit] [vs|vs.|or|and|versus] [quotas|quota] [difference|]
? [what|which] is per minute and [what|which] is per month
? how do [limits and quotas|quotas and limits|a limit and a quota] differ
? [a quota|a limit] or [a limit|a quota]
= A limit bounds a minute; a quota bounds a day or a calendar month, in requests, tokens or money.

? <how> [share|keep|have] [one limit|limits] [between|across|over|among] [several servers|many processes|two machines|workers|several machines]
? [what|how] [do|does] [several processes|many servers|several workers|a cluster] [need to share limits|count together|keep one limit]
? [do|are] limits [shared|exact|counted together] [with several processes|over many servers|on several machines]
? [two|three|several|many] [servers|nodes|machines|processes|workers|instances] behind [a load balancer|one address|nginx|a proxy] : are limits [still|] [exact|shared|right]
? [load balancer|cluster|several servers|multiple workers], [are|do] [the|] limits [hold|shared|exact|counted together]
? [common|shared|global] [limits|counters|rate limits] [for|of|over|across] [several|all|many] [servers|processes|machines]
? [what is|why do I need|do I need] [Redis|Valkey] [for|with Keyhall|]
? [are|do] limits [still|] [exact|right|hold] [with|behind|across|on] [two servers|a load balancer|several servers|many machines]
? [two|three|several] servers [behind|with|and] [a load balancer|one limit|the same limits|shared limits]
= All processes count in one Redis or Valkey: set `[redis] url` (`KEYHALL_REDIS_URL`). The limits then hold for all together.

? what happens [to limits|with the limits|] [when|if|while] Redis is [away|down|gone|dead|not reachable]
? [Redis is down|Redis died|Redis does not answer]
= Each process then counts by itself and admits its share of the limit, so together they never pass it. It returns by itself.

? [do|does] [test keys|a test key|tests] [use up|count against|take from|share] [the limits of live keys|live keys' limits|my live limits|the windows of live keys]
? [are|is] test and live [usage|traffic|requests] counted [together|separately]
? [have|do] test keys [their own limits|limits of their own|own windows]
? [does|will|do] [testing|a test run|tests in CI|my tests] [slow down|hurt|eat|affect|use up|take from] [production|live keys|my live key|the limits of production]
? [are|do] [test keys|tests|test requests] [counted|count] [separately|apart|by themselves|with live keys|against production]
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
? [worst case|maximum|longest possible] [wait|waiting time|retry-after|delay]
? [can|could|will] [I|a client|retry-after] [have to|] [wait|be] [for|] [minutes|an hour|longer than a minute|five minutes]
? [how large|how high] can retry-after [be|get|become]
= No wait for a limit is longer than 60 seconds.

? how do [official clients|the OpenAI clients|the official libraries|OpenAI's libraries|SDKs] [react to|handle|behave at|treat|take] [a 429|rate limits|a refusal|limits]
? [do|does] [official clients|the OpenAI client|the Python client|my SDK] retry [by itself|automatically|on their own|after a refusal|]
? [do|does|will] [the SDK|the client|the openai package|official SDKs|libraries] [wait|retry|handle a 429|try again|handle limits] [for me|by itself|automatically|]
? [must|do|should] I [write|program|code] [a retry|retries|the waiting|back-off] myself
? [client|SDK|library] [behaviour|reaction] [on|to|at] [429|a rate limit|limits]
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
