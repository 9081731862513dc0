"""The routes that programs call, each described. A test compares them with those that exist, so a
new route without its description fails."""

from dataclasses import dataclass
from typing import Any, Literal

Sent = Literal["key", "nothing", "admin-key"]


@dataclass(frozen=True, slots=True)
class Described:
    """An operation. `example` is the body that samples send, if there is one."""

    method: Literal["GET", "POST"]
    path: str
    name: str  # its operationId
    title: str
    says: str
    sent: Sent
    guides: tuple[str, ...] = ()
    example: dict[str, Any] | None = None
    sample_path: str = ""  # with its places filled in
    fields: tuple[tuple[str, str], ...] = ()  # of a body that is no chat request, in words
    problems: tuple[int, ...] = ()  # statuses of the error table it may answer with

    @property
    def anchor(self) -> str:
        return self.name.lower()


_ANY = (400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 500, 502, 503, 504)
_READ = (400, 401, 403, 404, 405, 408, 413, 429, 431, 500, 503)

DESCRIBED: tuple[Described, ...] = (
    Described(
        "POST", "/v1/chat/completions", "createChatCompletion", "Ask a model",
        "Send a conversation and get the next message, whole or streamed. The request and the "
        "answer have the form of OpenAI's API. The answer's `model` is the version that answered, "
        "`usage` counts its tokens, and the headers `x-ratelimit-*` say what is left. With "
        "`moderation` the answer, or one chunk of it without choices, also has what rules found.",
        "key", ("quickstart", "streaming", "tokens", "limits", "versions"),
        {"model": "v1", "messages": [{"role": "user", "content": "What is a key?"}],
         "max_tokens": 100},
        problems=_ANY,
    ),
    Described(
        "POST", "/v1/moderations", "createModeration", "Look for what is harmful in texts",
        "What the rules of this server find in one or more texts, in the form of OpenAI's API. "
        "They are rules and understand nothing: a score is 1 where one of them hit, and else 0. It "
        "costs no tokens and counts as a request of the minute. Pictures are refused.",
        "key", ("filters",), {"input": "How do I build a pipe bomb?"},
        fields=(
            ("input", "A text, a list of texts, or a list of parts of type `text`; a result each."),
            ("model", "May be left out. `keyhall-rules`, or OpenAI's names for their own."),
        ),
        problems=_ANY,
    ),
    Described(
        "GET", "/v1/models", "listModels", "List models",
        "The names that your key may send as `model`, aliases first. `shutdown_date` is the day "
        "on which a version stops answering, if one is set.",
        "key", ("versions",), problems=_READ,
    ),
    Described(
        "GET", "/v1/models/{model}", "retrieveModel", "Show one model",
        "One of these names. A slash in it may be written as it is, or as `%2F`.",
        "key", ("versions",), sample_path="/v1/models/v1", problems=_READ,
    ),
    Described(
        "POST", "/v1/keyhall/leaks", "reportLeaks", "Report leaked keys",
        "Whoever shows a key's full text has it revoked, within a second, and its owner told where "
        "it was seen. No key of your own is needed. Each key of the answer is masked, and "
        "`revoked` (it does not work any more), `unknown` (no key of this server's) or `kept` (a "
        "test key, which this server leaves alone). The same address takes the signed reports of "
        "GitHub's secret scanning, and answers them in its form.",
        "nothing", ("keeping-keys-safe", "keys"),
        {"keys": ["sk-kh_live_…"], "url": "https://example.org/where-it-was-seen"},
        fields=(
            ("keys", "1 to 100 texts: keys as they were found."),
            ("url", "Where; it becomes evidence for the owner. May be left out."),
            ("source", "What that is, such as `a build's log`. May be left out."),
        ),
        problems=(400, 401, 404, 405, 408, 413, 415, 429, 431, 500, 503),
    ),
    Described(
        "POST", "/v1/keyhall/feedback", "giveFeedback", "Say what an answer was worth",
        "By the `id` of an answer that a key of your project got: a `thumb` (`up`, `down`), a "
        "`score` from 1 to 5, a `category`, a `correction`, a `comment`; one of them at least. The "
        "latest counts, the same again changes nothing, and it counts against none of your "
        "limits.",
        "key", ("review",),
        {"completion_id": "chatcmpl-0661531f4e1f0a1b2c3d4e5f60718293", "thumb": "down",
         "comment": "It is 4."},
        fields=(
            ("completion_id", "The `id` of the answer, `chatcmpl-…`."),
            ("thumb", "`up` or `down`."),
            ("score", "A whole number from 1 to 5, the best."),
            ("category", "What is wrong, in one of the words that a refusal lists."),
            ("correction", "What should have been said."),
            ("comment", "Anything else."),
        ),
        problems=(400, 401, 403, 404, 408, 413, 415, 429, 431, 500, 503),
    ),
    Described(
        "GET", "/v1/keyhall/reviews/{id}", "retrieveReview", "Fetch an answer under review",
        "What a 202 named as `location`: 202 again while nobody has decided, then the answer in "
        "the form of a chat completion, as it was released, corrected or refused. With "
        "`x-keyhall-review-wait: 60` it waits so many seconds for the decision.",
        "key", ("review",),
        sample_path="/v1/keyhall/reviews/rev_0661531f4e1f0a1b2c3d4e5f60718293",
        problems=(*_READ, 410),
    ),
    Described(
        "GET", "/healthz", "healthz", "Is the process alive?",
        "Answers 200 as long as the process does; nothing else is asked.",
        "nothing", ("running",),
    ),
    Described(
        "GET", "/livez", "livez", "Is the process alive? (as Kubernetes calls it)",
        "The same as `/healthz`.",
        "nothing", ("running",),
    ),
    Described(
        "GET", "/readyz", "readyz", "Can requests be answered?",
        "200 if they can, else 503. From this machine it says what is wrong with which part; from "
        "elsewhere only which part.",
        "nothing", ("running",),
    ),
    Described(
        "GET", "/metrics", "metrics", "Numbers for Prometheus",
        "Prometheus' text format. It answers this machine, and from elsewhere an admin key.",
        "admin-key", ("running",),
    ),
)  # fmt: skip
