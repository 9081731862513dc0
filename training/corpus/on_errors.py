"""What the house model knows of errors: each code of the product's table, and what to do."""

from collections.abc import Iterable
from dataclasses import replace

from training import facts
from training.corpus.entries import Entry, read

# What a code means and what to do, in a sentence or two. Codes that are not here take their
# advice from the table.
MEANINGS = {
    "invalid_api_key": "There is no such key: perhaps a typo. Compare its ends with your key, or create a new one.",
    "key_revoked": "The key was ended for good and never works again. Use another key.",
    "key_expired": "The key's time is over. Create another key, or rotate keys before they expire.",
    "key_paused": "The key is switched off for now. Its owner can resume it: `keyhall keys resume KEY`.",
    "ip_not_authorized": "The key has an address list, and your address is not on it. Call from one that is, or have the list changed.",
    "missing_scope": "The key is restricted: it may not use this endpoint or this model. Use another key.",
    "model_not_found": "There is no model of that name for your key. Check the spelling; `GET /v1/models` lists the names.",
    "model_without_price": "The version has no price, so what the key may spend could not be kept. Have the operator give it one.",
    "rate_limit_exceeded": "A limit of the minute is reached. Wait as long as `retry-after-ms` says, then try again.",
    "insufficient_quota": "A quota is used up. Retrying does not help: ask whoever set it for more, or wait until its period is over.",
    "project_spend_limit_exceeded": "The project has reached its spend limit. Ask whoever runs it for a higher one, or wait until its period is over.",
    "billing_not_active": "The organization is suspended. Ask the operator to resume it.",
    "context_length_exceeded": 'The input is longer than the model takes. Shorten it, or send `"truncation": "auto"`.',
    "unknown_parameter": "The request has a parameter that is not known. Remove it, or check its spelling.",
    "missing_required_parameter": "A parameter is missing: `param` names it. Add it.",
    "invalid_type": "A parameter has the wrong JSON type. Send the type that the message names.",
    "invalid_value": "A value is not allowed. Use one that the message lists.",
    "unsupported_parameter": "This model does not support the parameter. Remove it.",
    "unsupported_value": "This model does not support the value. Use one that it supports.",
    "engine_failed": "The model's engine failed. Retry; no tokens were charged unless part of an answer was sent.",
    "engine_timeout": "The engine did not answer in time. Retry, or stream the answer so that its first tokens come early.",
    "engine_rejected": "The engine refused the request. Change it as the engine's own words in the message say.",
    "server_is_overloaded": "The server is overloaded or not ready yet. Retry after the time in `retry-after`.",
    "limits_away": "The counters that all servers share cannot be reached. Retry after `retry-after-ms`: it returns by itself.",
    "request_too_large": "The request's body is too large. Send less.",
    "request_timeout": "The request did not arrive in time. Send it faster.",
    "headers_too_large": "The headers are too large. Send fewer or shorter ones.",
    "unsupported_content_type": "The endpoint takes `application/json` alone. Send plain JSON.",
    "method_not_supported": "The path does not take this HTTP method. Use the one in the header `allow`.",
    "mismatched_organization": "The header names another organization than the key's. Remove it; the key alone decides.",
    "mismatched_project": "The header names another project than the key's. Remove it; the key alone decides.",
    "json_too_deep": "The JSON is nested too deep. Flatten it.",
    "malformed_http": "The HTTP request could not be understood. Use a standard HTTP library.",
    "request_loop": "The request comes from this very server: one of its engines leads back to it. The operator has to remove it.",
}  # fmt: skip

# How people describe a code without knowing its name.
WORDS = {
    "invalid_api_key": "[a wrong|an unknown|a mistyped|a bad|an invalid|an incorrect] key",
    "key_revoked": "a [revoked|killed] key",
    "key_expired": "[an expired key|a key whose time is over|a key that has expired]",
    "key_paused": "[a paused key|a key that is paused|a suspended key]",
    "ip_not_authorized": "[a key that is used from another address|a wrong IP address|a forbidden address]",
    "missing_scope": "[a key that is restricted|a restricted key|a key without the scope]",
    "rate_limit_exceeded": "[a rate limit|too many requests|a reached limit|a full window]",
    "insufficient_quota": "[a used-up quota|an exhausted quota|a quota that is used up]",
    "context_length_exceeded": "[too long an input|a conversation that is too long|too many input tokens]",
    "engine_failed": "[an engine that failed|a broken engine|an upstream that is down]",
    "engine_timeout": "[an engine that does not answer|a slow engine|an engine that is too slow]",
    "server_is_overloaded": "[an overloaded server|a server that is shutting down|a busy engine]",
    "request_too_large": "[a body that is too large|too large a body|a huge body]",
    "unknown_parameter": "[an unknown parameter|a parameter that does not exist|a misspelt parameter]",
    "model_not_found": "[an unknown model|a model that does not exist]",
    "unsupported_content_type": "[a wrong content type|a body that is not JSON by its header]",
    "method_not_supported": "[a wrong method|the wrong HTTP method]",
}  # fmt: skip

NAMES = {401: "AuthenticationError", 400: "BadRequestError", 403: "PermissionDeniedError",
         404: "NotFoundError", 429: "RateLimitError", 500: "InternalServerError"}  # fmt: skip
MEANS = {
    400: "the request is not well formed or not possible",
    401: "the key is missing, unknown, paused, expired or revoked",
    403: "the key is good but may not do this",
    404: "there is no such model or path",
    429: "a limit or a quota is reached",
    500: "the server itself had an error",
    502: "the model's engine failed",
    503: "the server or an engine is busy or away",
    504: "the engine did not answer in time",
}

TEXT = """
? [which|what] fields [does|has] an error [have|object|]
? [what is|what's|describe|show me] [in|the form of|the shape of|the format of|inside] [an error|errors|an error object|the error body|error answers]
? what does an error [look like|contain|consist of]
? [how are|how do] errors [sent|look|formatted]
? what does [the|an] error [JSON|body|object|message|response|answer] [look like|contain|have|hold]
? [error|errors] [JSON|object|format|structure|body|shape|fields]
? [fields|keys|parts|members] [of|in] [an error|an error object|the error JSON|errors]
? [what|how] does the error [JSON|object|answer] look [like|]
? [error JSON|JSON of an error|an error in JSON] [example|form|look|]
= An error is an object with `message`, `type`, `param` and `code`, in OpenAI's own shape.

? [I send|there is|what if I send|what about a request with] no key, [which status|what status|what] [do I get|comes]
? [which|what] status [comes|do I get] [without a key|when the key is missing|if I forget the key|when I send no Authorization header]
? [status|error] [for|of] [a missing key|a request without a key|no key]
? I forgot the Authorization header [, what comes|]
? [call|calls|request|requests] without [a key|an API key|Authorization|authentication|any key] [, which status|, what happens|status|]
? [no|missing|forgotten] [API key|key|Authorization header|credentials] [, which status|status|, what comes|]
= You get 401: set `OPENAI_API_KEY`, or send `Authorization: Bearer` and the key.

? [which|what] status [comes|do I get|is it] [when|if|for] [my JSON is broken|the JSON is wrong|the body is not JSON|the body cannot be parsed|invalid JSON|malformed JSON]
? [broken|invalid|malformed] JSON [status|error|in the body|]
? [I sent|my program sends] [broken|bad|invalid] JSON [, what happens|]
? [wrong|bad|ill-formed|unparsable|truncated] JSON [, which status|status|, what comes|, which code|]
? [the body|my body|my request] is [no|not|broken] JSON [, what status|, what happens|]
= You get 400: the body could not be parsed. Send one JSON object as UTF-8.

? [are|do] [tokens|I] [charged|pay|billed] [when|if] [an engine fails|the engine fails|the upstream fails|the model fails|it fails] [before it says anything|before the first token|at once|]
? [does|will] [a failed engine|a 502|a 504|an engine failure] cost [tokens|me something|money|]
? what [does|is] [a failed request|a failure of the engine] [cost|charged]
? [the engine|the model|the upstream] [crashed|failed|died|broke] [before|without] [answering|an answer|the first byte|a word] [, do I pay|, is it charged|, what does it cost|]
? [who pays|do I pay|is anything charged|cost] [for|of|when there is|at] [a failed engine|an engine failure|engine errors|a 502]
= No: if the engine fails before its first byte, the tokens are given back and nothing is charged.

? [I get|there is|what about|my program gets] [a 500|status 500|an internal error|an internal server error] [, what now|. What should I do|, what do I do|]
? what [should|can] I [tell|send|give|say to] the operator [about|after|when I get] a 500
? what [helps|do you need] [to find|to look into] [a fault|an error 500]
? [internal server error|status 500|500 error|server error 500|error 500] [, what now|, what do I do|, help|]
? [report|tell|send] [a bug|a fault|a 500|an internal error] [to the operator|, what do I send|, how|, to whom]
= Retry; if it stays, give the request id (`x-request-id`) to the operator.

? <where> [read|find|see|look up] [about errors|all errors|the list of errors|error codes|what an error means|about an error]
? [is there|where is] [a list|a table|documentation] of [errors|error codes|all errors]
? [list|table|documentation] of [errors|all error codes]
? [explanation|explanations|meaning|reference|overview|catalogue] of [all|the|every] [errors|error codes|codes|refusals]
? [what do|where is told what] [error codes|the codes|errors] mean
= On the page Errors of the documentation (`/docs/errors`): every refusal, what it means and what to do.

? [should|may|can|does it help if|must] I [retry|try again] [after|on|with] [insufficient_quota|a used-up quota|quota errors|an exhausted quota]
? does [retrying|trying again|waiting a minute] help [with|after|against] [insufficient_quota|a used-up quota]
= No, retrying does not help: the quota is used up until its period is over, or somebody raises it.

? [should|may|can|does it help if] I [retry|try again] [after|on] [a 429|rate_limit_exceeded|a 503|server_is_overloaded|a 502]
? [which|what] errors [may|should|can] I retry
? [when|is it] [worth it|useful] to retry [an error|]
? [retry|retrying|try again] [after|on|with] [429|503|502|an error|errors] [, good idea|, allowed|, when|]
? [is it|would it be] [okay|right|good|wise] to [retry|try again|repeat the request] [after a 429|after a 503|after an error]
= Yes, wait as long as `retry-after` or `retry-after-ms` says, then try again. With `x-should-retry: false` do not.

? [which|what] [header|field] has the request id
? <where> find the request id
= In the header `x-request-id` of the answer.

? what is [the type|type] of an error
= `type` is the kind of error, such as `invalid_request_error`, `tokens`, `requests` or `server_error`.

? what [does|is] param [mean|] in an error
= `param` names the parameter of the request that is at fault.
"""


def _meaning(code: str) -> str:
    if code in MEANINGS:
        return MEANINGS[code]
    row = next(row for row in facts.ROWS.values() if row.code == code)
    return row.advice


def _exception(code: str) -> str:
    return next(row for row in facts.ROWS.values() if row.code == code).client_raises


def _of_code(code: str) -> str:
    word = WORDS.get(code, code)
    statuses = sorted(facts.statuses(code))
    number = " or ".join(str(each) for each in statuses)
    return f"""
? [which|what] [HTTP status|status|status code|http code|number] [does|has|comes with|goes with|belongs to|is sent with|is] {code} [have|come with|]
? [what is|what's|tell me] the [HTTP status|status|status code|http status code|code number] [of|for|with|behind] {code}
? [status|status code|HTTP status|http code] [of|for|] {code}
? {code} [status|status code|HTTP status|http status please]
? [with|under] [which|what] [HTTP status|status|status code] [is|does] {code} [sent|come|returned|]
? {code} [has|is|comes with] [which|what] [status|HTTP status|status code|number]
? [which|what] [status|HTTP status|status code] [does|has|comes with|comes with|is sent for|do I get for|goes with|will I see with] {word} [get|have|]
? [with|under] [which|what] [status|status code] is {word} [refused|answered|turned away]
? [status|status code|HTTP status] [of|for] {word}
~status and [for|of|with|] {code}
~status [what about|and the status of|for] {code}
~{code} and [its|the|with which|which] [status|HTTP status|status code]
@ status {code}
= `{code}` comes with status {number}.

? [what does|what is|what's|explain|tell me about|what's the meaning of] {code} [mean|]
? [I get|I got|we get|my program gets|I see|there is|I keep getting] [the error|an error|the code|] {code} [, why|. Why|, what now|. What can I do|, what is wrong|, what do I do|. What does that mean|]
? [why|when] [do I|would I|does one] [get|see] {code}
? what [can|should|must] I do [about|with|after|against|when I get] {code}
? {code} [meaning|help|why|what now|what to do|explained|?]
? <how> [fix|solve|handle|get rid of|avoid] {code}
? {code}
? what [can|should] I do about {word}
? [error|code] {code} [explained|] [please|]
~{code} and what [does it mean|is that|can I do|do I do|should I do|does that mean]
~{code} [why|what now|what can I do about it|what does it mean|and why]
@ {code}
= {_meaning(code)}

? [which|what] [exception|error class|Python exception] [does|is|comes with|belongs to] {code} [raise|raised|have|] [in Python|in the client|]
? [which|what] exception [do I catch|to catch|should I catch|is raised|does the client raise] for {word} [in Python|with the client|]
~{code} and [which|what] exception [is raised|do I catch|]
@ {code}
= The official client raises `{_exception(code)}`.
"""


def _of_status(status: int) -> str:
    name = NAMES.get(status, "InternalServerError")
    return f"""
? [which|what] [exception|error class|Python exception|error] [does|do|is|will] [the client|the OpenAI client|the Python client|the library|I catch] [raise|raises|raised|get|] [for|with|on|at|after] [a|status|an|a status of|HTTP] {status}
? [exception|Python exception|error class|class] [of|for|with] [a|status|] {status} [in Python|]
? [what|which] [exception|class|error] [stands for|belongs to|comes with|means|goes with|is] [a|status|the status] {status} [in Python|in the client|]
? [what|which] [do I|should I|must I] [catch|except] [for|on] [a|status] {status}
~exception and [for|with|on|] [a|status|] {status}
@ exception
= For {status} the official client raises `{name}`.

? what does [a|status|HTTP status|an HTTP|the status] {status} [mean|say|tell me]
? [I get|we get|what is|why do I get] [a|status|an HTTP] {status} [, why|. Why|, what does it mean|]
? meaning of [status|] {status}
? {status} [what is that|meaning|?|error|what does it mean|explained|status|why]
? [the server|the API|Keyhall|it|my client] [returned|returns|answers|answered|says|sends|gave|shows|reports] [a|an|status|error|HTTP|] {status} [, why|, what does that mean|, what now|]
? [got|getting|received] [a|an|] {status} [from the server|from the API|today|back|]
? [error|status|HTTP|code|http status] {status} [?|please|means]
= Status {status} means that {MEANS[status]}. The `code` in the body says more.
"""


def entries() -> Iterable[Entry]:
    yield from read("errors", TEXT)
    codes = dict.fromkeys(row.code for row in facts.ROWS.values() if row.code)
    for code in codes:
        common = code in WORDS
        for entry in read("errors", _of_code(code)):
            weight = 1.0 if common else 0.35
            yield replace(entry, weight=weight)
    for status in MEANS:
        yield from read("errors", _of_status(status))
