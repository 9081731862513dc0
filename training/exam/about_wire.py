"""Questions about tokens, versions, errors and streaming."""

from training import facts
from training.exam.grader import Question, number

IN = number(facts.INPUT_MAX)
OUT = number(facts.OUTPUT_MAX)


def _of(topic: str, asked: str | tuple[str, ...], *must: str, no: tuple[str, ...] = ()) -> Question:
    return Question(topic, (asked,) if isinstance(asked, str) else asked, must, no)


def _status(asked: str, code: str) -> Question:
    """The status that the product's own table gives to a code."""
    return _of("errors", asked, number(facts.status(code)))


TOKENS = (
    _of("tokens", "What is a token?", r"piece|part|text|characters"),
    _of("tokens", "About how many characters make one token in English?", r"\b(4|four)\b"),
    _of("tokens", "How many input tokens fit into one request to v1?", IN),
    _of("tokens", "what's the maximum answer length of the default models in tokens", OUT),
    _of("tokens", "How large is the context of the models that come with Keyhall?", IN),
    _of("tokens", "My conversation is too long for the model. What can I do?",
        "shorten|truncation|reduce|fewer|leave out"),
    _of("tokens", "Which parameter makes Keyhall shorten a long conversation for me?",
        "truncation"),
    _of("tokens", "What value must truncation have to be used?", "auto"),
    _of("tokens", "Which messages survive when a conversation is shortened?", "system|last|newest"),
    _of("tokens", "How can I count tokens before I send a request?", "keyhall tokens count"),
    _of("tokens", "Do I need a network connection to count tokens?",
        r"\b(no|not|without|offline)\b", no=(r"^yes",)),
    _of("tokens", "Which tokenizer counts my input?", facts.TOKENIZER),
    _of("tokens", "Where in the response do I see how many tokens were used?", "usage"),
    _of("tokens", "Is the usage field exact?", r"yes|exact", no=(r"^no\b",)),
    _of("tokens", "Do output tokens count as well as input tokens?", r"yes|both|and output|count",
        no=(r"^no\b",)),
    _of("tokens", "What header tells me that messages were left out?", "x-keyhall-truncated"),
    _of("tokens", "With n=3, is the input counted three times?", r"\b(no|once|one time)\b",
        no=(r"^yes",)),
    _of("tokens", "What is completion_tokens?", "answer|output"),
    _of("tokens", "what are prompt tokens", "input|you sen[dt]|messages"),
    _of("tokens", "Which error do I get when my messages are too long?",
        "context_length_exceeded|400"),
    _of("tokens", "How do I limit the length of an answer?", "max_tokens|max_completion_tokens"),
    _of("tokens", "What margin is held when a version's token count is only an estimate?",
        "margin|1.25|25|125|32"),
)  # fmt: skip

VERSIONS = (
    _of("versions", "What is the difference between v1 and v1.1?", "repeat|penalt"),
    _of("versions", "Why would I choose v1.1?", "repeat|coheren"),
    _of("versions", "Which model is the default?", r"\bv1\b"),
    _of("versions", "What is an alias?", r"name (that|for|which|of)"),
    _of("versions", "Does a version ever change?", r"\b(no|never|not)\b", no=(r"^yes",)),
    _of("versions", "How do I make sure that the model behind my requests does not change?",
        "own name|pin|version's|version name"),
    _of("versions", "Which field of the answer tells me which version answered?", "model"),
    _of("versions", "What does system_fingerprint stand for?", "record|version|changes an answer"),
    _of("versions", "Who can move an alias?", "operator"),
    _of("versions", "What happens when I call a retired version?", "404|instead|refus"),
    _of("versions", "What does deprecated mean for a version?", "still|answers|retire|end"),
    _of("versions", "How do I learn that a version will be retired?",
        "sunset|deprecation|shutdown_date|header"),
    _of("versions", "which command moves v1 to another version", "keyhall aliases move"),
    _of("versions", "How do I list all versions on the command line?", "keyhall versions list"),
    _of("versions", "What is the frequency penalty of v1.1 on an upstream?",
        number(facts.CALM_FREQUENCY or 0)),
    _of("versions", "And which presence penalty does v1.1 use with an upstream?",
        number(facts.CALM_PRESENCE or 0)),
    _of("versions", "How do I get the list of models over the API?", "/v1/models|models.list"),
    _of("versions", "What is a fallback?", "answer|instead|another"),
    _of("versions", "How do I set the price of a version?", "keyhall versions price|--price"),
    _of("versions", "Can I get the same answer twice with the same seed?", "seed|same|yes"),
    _of("versions", ("What is v1?", "v1 is the default model's name, an alias for a version.",
                     "and v1.1?"), "repeat|penalt|coheren"),
)  # fmt: skip

ERRORS = (
    _status("Which HTTP status belongs to invalid_api_key?", "invalid_api_key"),
    _status("What status comes with context_length_exceeded?", "context_length_exceeded"),
    _status("status code of rate_limit_exceeded?", "rate_limit_exceeded"),
    _status("Which status does insufficient_quota have?", "insufficient_quota"),
    _status("key_revoked is sent with what HTTP status?", "key_revoked"),
    _status("What is the http status of missing_scope?", "missing_scope"),
    _status("What number does engine_failed come with?", "engine_failed"),
    _status("http status for engine_timeout", "engine_timeout"),
    _status("Which status code means server_is_overloaded?", "server_is_overloaded"),
    _status("What status has ip_not_authorized?", "ip_not_authorized"),
    _status("What is the status when the body is too large (request_too_large)?",
            "request_too_large"),
    _status("unknown_parameter: which HTTP status?", "unknown_parameter"),
    _status("Which status comes with an expired key?", "key_expired"),
    _status("With what status is a paused key refused?", "key_paused"),
    _of("errors", "What does invalid_api_key mean?",
        r"no such key|unknown|incorrect|not known|typo"),
    _of("errors", "I get key_expired. What can I do?", "another|new|create"),
    _of("errors", "what does key_paused mean?", "switched off|off for now|resum"),
    _of("errors", "My program gets missing_scope. Why?", "restrict|not allowed|may not|endpoint"),
    _of("errors", "I see ip_not_authorized, what is wrong?", "address|network"),
    _of("errors", "What does insufficient_quota tell me?",
        "used up|exhausted|exceeded|spent|reached|nothing left"),
    _of("errors", "Should I retry after insufficient_quota?",
        r"\b(no|not|does not help|wait until)\b", no=(r"^yes",)),
    _of("errors", "What can I do about context_length_exceeded?",
        "shorten|truncation|reduce|fewer"),
    _of("errors", "What does server_is_overloaded mean and what do I do?", "retry|again|wait"),
    _of("errors", "What should I do about an engine_timeout?", "retry|stream|again"),
    _of("errors", "model_not_found - what now?", "/v1/models|spelling|list"),
    _of("errors", "What does billing_not_active mean?", "suspend"),
    _of("errors", "What is unknown_parameter telling me?",
        "remove|spelling|not known|does not know"),
    _of("errors", "Which exception does the official Python client raise for a 429?",
        "ratelimiterror"),
    _of("errors", "What exception do I catch for a bad key in Python?", "authenticationerror"),
    _of("errors", "Which exception stands for a 400 in the OpenAI client?", "badrequesterror"),
    _of("errors", "Which python exception comes with a 403?", "permissiondeniederror"),
    _of("errors", "What exception is raised for status 404?", "notfounderror"),
    _of("errors", "Which four fields does an error object have?", "message", "type", "param",
        "code"),
    _of("errors", "I sent a request without any key. Which status comes back?", number(401)),
    _of("errors", "My JSON is broken. Which status code will I see?", number(400)),
    _of("errors", "Are tokens charged when the engine fails before its first byte?",
        r"\b(no|not|nothing|none)\b", no=(r"^yes",)),
    _of("errors", "What should I quote to the operator if I get a 500?", "request id|request_id"),
    _of("errors", "Where can I read about every error?", "errors|docs"),
)  # fmt: skip

STREAMING = (
    _of("streaming", "How do I get an answer while it is being written?", "stream"),
    _of("streaming", "Which field turns streaming on?", "stream"),
    _of("streaming", "What is the last line of a stream?", r"\[done\]"),
    _of("streaming", "How do I get usage numbers in a streamed answer?",
        "include_usage|stream_options"),
    _of("streaming", "What comes over the wire during silence?", "keep-alive|comment"),
    _of("streaming", "How often are keep-alive comments sent?", r"\b(10|ten)\b"),
    _of("streaming", "What happens if an error occurs in the middle of a stream?",
        "error (record|object)|without|ends|record"),
    _of("streaming", "How quickly is the engine stopped when I close a stream?", r"250"),
    _of("streaming", "Am I charged for a stream that I leave early?", "produced|input|until"),
    _of("streaming", "In which format do streamed answers come?", "server-sent|sse|event"),
    _of("streaming", "After how long is a client disconnected that stops reading?",
        r"\b(30|thirty)\b"),
    _of("streaming", "Can I still get a 429 after the stream has begun?",
        r"\b(no|not|never|before)\b", no=(r"^yes",)),
    _of("streaming", "My chunks arrive all at once behind nginx, why?", "buffer|proxy"),
    _of("streaming", "What is draining?", "client|left|goes on|to its end"),
    _of("streaming", "Does every chunk of a stream have the same id?", r"yes|same",
        no=(r"^no\b",)),
)  # fmt: skip

QUESTIONS = (*TOKENS, *VERSIONS, *ERRORS, *STREAMING)
