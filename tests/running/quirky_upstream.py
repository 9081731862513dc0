"""The model servers that people run, each with its own habits, as one stub.

    async with QuirkyUpstream(PRODUCTS["ollama"]) as upstream: upstream.url

A row of PRODUCTS tells what a product does differently; what is not told is as OpenAI does it. A
request whose last message is `fail NAME` gets the failure of that name instead of an answer, as the
product writes it; one with tools gets a tool call.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tiny_upstream import TinyUpstream

Json = dict[str, Any]

TEXT = "Grüße aus dem Hause, 世界 🙂."
PIECES = ("Grüße", " aus dem", " Hause,", " 世界", " 🙂", ".")
THOUGHT = ("The user", " greets me.")
USAGE: Json = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
ARGUMENTS = '{"place": "Bern"}'


@dataclass(frozen=True)
class Failure:
    """An answer that is none. `events`, if there are any, come in a stream, in the place of its
    rest; otherwise a stream gets what a whole answer gets."""

    status: int = 200
    body: Any = b""
    kind: str = "application/json"
    headers: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class Product:
    """A server's habits."""

    model: str
    head: Json = field(default_factory=dict)  # more fields of every answer and chunk
    choice: Json = field(default_factory=dict)  # of every choice
    message: Json = field(default_factory=dict)  # of a whole message
    delta: Json = field(default_factory=dict)  # of every delta
    usage: Json = field(default_factory=lambda: USAGE)  # its `usage` as it writes it
    first: Json | None = field(default_factory=lambda: {"role": "assistant", "content": ""})
    thoughts: str = ""  # the field that it thinks in
    has_usage: bool = True  # and sends it
    usage_of_one: bool = False  # it is that of one choice; streamed, one comes behind each
    chunk_usage: bool = False  # `usage: null` in every chunk
    says_done: bool = True
    many: bool = True  # it knows `n`
    calls: Callable[[int], Json] = lambda at: {"index": at, "type": "function"}
    whole_arguments: bool = False  # a tool call comes in one chunk
    line: str = "\n\n"
    between: str = ""  # what keeps the connection alive, between events
    shuts: bool = False  # it closes its connections without a word
    split: bool = False  # HTTP chunks end anywhere
    failures: dict[str, Failure] = field(default_factory=dict)


def _flat(message: str, kind: str, code: int, param: str | None = None) -> Json:
    return {"object": "error", "message": message, "type": kind, "param": param, "code": code}


def _error(message: str, kind: str, code: Any = None, param: str | None = None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _event(payload: Any, name: str = "") -> str:
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(payload)}\n\n"


_DONE = "data: [DONE]\n\n"
_LLAMA_CONTEXT = {
    "error": {
        "code": 400,
        "message": "request (9012 tokens) exceeds the available context size (4096 tokens)",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9012,
        "n_ctx": 4096,
    }
}
_VLLM_LONG = (
    "This model's maximum context length is 4096 tokens. However, your request has 9012 input "
    "tokens. Please reduce the length of the input messages."
)

PRODUCTS = {
    "llama-server": Product(
        model="qwen3-0.6b-q8_0.gguf",
        head={"system_fingerprint": "b6123-4c763c8d", "timings": {"predicted_per_second": 41.7}},
        message={"reasoning_content": "The user greets me."},
        first={"role": "assistant", "content": None},
        thoughts="reasoning_content",
        between=": ping\n\n",
        usage_of_one=True,
        failures={
            "loading": Failure(
                503,
                {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
            ),
            "too long": Failure(400, _LLAMA_CONTEXT, events=(_event(_LLAMA_CONTEXT),)),
            "no model": Failure(
                400,
                {
                    "error": {
                        "code": 400,
                        "message": "model not found",
                        "type": "invalid_request_error",
                    }
                },
            ),
            "breaks": Failure(
                events=(
                    _event(
                        {
                            "error": {
                                "code": 500,
                                "message": "Context size has been exceeded.",
                                "type": "server_error",
                            }
                        }
                    ),
                )
            ),
        },
    ),
    "ollama": Product(
        model="llama3.2:3b",
        head={"system_fingerprint": "fp_ollama"},
        first=None,
        delta={"role": "assistant"},
        thoughts="reasoning",
        many=False,
        calls=lambda at: {"index": 0, "type": "function"},
        whole_arguments=True,
        failures={
            "busy": Failure(
                503,
                _error(
                    "server busy, please try again.  maximum pending requests exceeded", "api_error"
                ),
            ),
            "no model": Failure(
                404,
                _error('model "llama3.2:3b" not found, try pulling it first', "not_found_error"),
            ),
            "no memory": Failure(
                500,
                _error(
                    "model requires more system memory (5.3 GiB) than there is (4.7 GiB)",
                    "api_error",
                ),
            ),
            # The runner died: an empty chunk without an end, and then nothing.
            "breaks": Failure(
                events=(
                    _event(
                        {
                            "object": "chat.completion.chunk",
                            "choices": [
                                {
                                    "index": 0,
                                    "delta": {"role": "assistant", "content": ""},
                                    "finish_reason": None,
                                }
                            ],
                        }
                    ),
                )
            ),
        },
    ),
    "vllm": Product(
        model="meta-llama/Llama-3.1-8B-Instruct",
        head={"prompt_logprobs": None, "kv_transfer_params": None, "service_tier": None},
        choice={"stop_reason": None, "logprobs": None, "token_ids": None},
        message={
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            "tool_calls": [],
            "reasoning_content": None,
        },
        usage=USAGE | {"prompt_tokens_details": None},
        failures={
            "too long": Failure(
                400,
                _flat(_VLLM_LONG, "BadRequestError", 400, "input_tokens"),
                # Older ones write it flat into the stream, and then say that all is done.
                events=(_event(_flat(_VLLM_LONG, "BadRequestError", 400)), _DONE),
            ),
            "no model": Failure(
                404, _error("The model `x` does not exist.", "NotFoundError", 404, "model")
            ),
            "dead": Failure(
                500, _error("EngineCore encountered an issue.", "InternalServerError", 500)
            ),
            "breaks": Failure(
                events=(_event(_error("Internal server error", "InternalServerError", 500)), _DONE)
            ),
            "gives up": Failure(
                200,
                {
                    "choices": [
                        {
                            "index": 0,
                            "message": {"role": "assistant", "content": "Gr"},
                            "finish_reason": "abort",
                        }
                    ],
                    "usage": USAGE,
                },
                events=(
                    _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "abort"}]}),
                    _DONE,
                ),
            ),
        },
    ),
    "sglang": Product(
        model="Qwen/Qwen2.5-7B-Instruct",
        head={"metadata": {"weight_version": "default"}},
        choice={"matched_stop": None, "logprobs": None},
        message={"reasoning_content": None, "tool_calls": None},
        delta={"role": None, "reasoning_content": None, "tool_calls": None},
        usage=USAGE | {"prompt_tokens_details": None, "reasoning_tokens": 0},
        chunk_usage=True,
        thoughts="reasoning_content",
        failures={
            "too long": Failure(
                400,
                _flat(
                    "The input (9012 tokens) is longer than the model's "
                    "context length (4096 tokens).",
                    "BadRequest",
                    400,
                ),
            ),
            "invalid": Failure(
                422,
                {
                    "detail": [
                        {
                            "loc": ["body", "top_p"],
                            "msg": "Input should be at most 1",
                            "type": "less_than_equal",
                        }
                    ]
                },
            ),
            "breaks": Failure(
                events=(
                    _event({"error": _flat("Generation aborted.", "SERVICE_UNAVAILABLE", 503)}),
                    _DONE,
                )
            ),
        },
    ),
    "lm-studio": Product(
        model="qwen/qwen3-4b",
        head={"system_fingerprint": "qwen/qwen3-4b", "stats": {}},
        choice={"logprobs": None},
        message={"tool_calls": [], "reasoning_content": ""},
        delta={"role": "assistant"},
        first=None,
        thoughts="reasoning_content",
        many=False,
        says_done=False,
        failures={
            "not loaded": Failure(
                400,
                _error(
                    "No models loaded. Please load a model in the developer page or use the "
                    "'lms load' command.",
                    "invalid_request_error",
                    None,
                    "model",
                ),
            ),
            "no endpoint": Failure(
                200, {"error": "Unexpected endpoint or method. (POST /v1/chat/completions)"}
            ),
            "invalid": Failure(400, {"error": "'messages' array is required"}),
            "breaks": Failure(
                events=(_event({"error": {"message": "The model has crashed"}}, "error"),)
            ),
        },
    ),
    "ray-serve": Product(
        model="qwen-0.5b",
        choice={"stop_reason": None, "logprobs": None},
        message={"tool_calls": [], "reasoning_content": None},
        shuts=True,
        split=True,
        failures={
            "scaling": Failure(
                503, b"Request dropped due to backpressure (num_queued_requests=100).", "text/plain"
            ),
            "no app": Failure(
                404,
                b"Path '/v1/chat/completions' not found. Ping /-/routes for available routes.",
                "text/plain",
            ),
            "crashed": Failure(500, b"Internal Server Error", "text/plain"),
            "slow": Failure(408, b"Request 4cc82a4a timed out after 60.0s.", "text/plain"),
            "too long": Failure(
                400,
                {
                    "error": {
                        "message": f"{_VLLM_LONG} (Request ID: 4cc82a4a)",
                        "code": 400,
                        "type": "BadRequestError",
                        "param": {},
                    }
                },
            ),
            "breaks": Failure(
                events=(
                    _event(
                        {
                            "error": {
                                "message": "Replica died",
                                "code": 500,
                                "type": "InternalServerError",
                                "param": {},
                            }
                        }
                    ),
                    _DONE,
                )
            ),
        },
    ),
}


class QuirkyUpstream(TinyUpstream):
    """A server of one product."""

    def __init__(self, product: Product) -> None:
        super().__init__(product.model)
        self.product = product
        self.closes = product.shuts

    async def _answer(self, head: str, body: bytes) -> bytes:
        if not body:
            return await super()._answer(head, body)
        request = json.loads(body)
        self.asked.append(request)
        product, streams = self.product, bool(request.get("stream"))
        words = request["messages"][-1].get("content") or ""
        failure = product.failures.get(words.removeprefix("fail ")) if "fail " in words else None
        if failure is not None and not (streams and failure.events):
            return self._http(failure.status, failure.body, failure.kind, failure.headers)
        if not streams:
            return self._http(200, self._whole(request))
        events = self._events(request)
        if failure is not None:
            events = [*events[:3], *failure.events] if words == "fail breaks" else [*failure.events]
        data = "".join(event + product.between for event in events).replace("\n\n", product.line)
        return self._stream(data.encode())

    # --- Answers ----------------------------------------------------------------------------------

    def _head(self, kind: str) -> Json:
        known = {"id": "chatcmpl-7", "object": kind, "created": 1, "model": self.product.model}
        return known | self.product.head

    def _whole(self, request: Json) -> Json:
        product = self.product
        message: Json = {"role": "assistant", "content": TEXT, **product.message}
        finish = "stop"
        if request.get("tools"):
            names = [tool["function"]["name"] for tool in request["tools"]]
            message |= {"content": None, "tool_calls": self._calls(names)}
            finish = "tool_calls"
        count = request.get("n", 1) if product.many else 1
        choices = [
            {"index": at, "message": message, "finish_reason": finish} | product.choice
            for at in range(count)
        ]
        answer = self._head("chat.completion") | {"choices": choices}
        return answer | ({"usage": product.usage} if product.has_usage else {})

    def _calls(self, names: list[str]) -> list[Json]:
        return [
            self.product.calls(at)
            | {"id": f"call_{at}", "function": {"name": name, "arguments": ARGUMENTS}}
            for at, name in enumerate(names)
        ]

    def _events(self, request: Json) -> list[str]:
        product = self.product
        count = request.get("n", 1) if product.many else 1
        deltas: list[Json] = [product.first] if product.first else []
        if product.thoughts:
            deltas += [{"content": "", product.thoughts: thought} for thought in THOUGHT]
        finish = "stop"
        if request.get("tools"):
            names = [tool["function"]["name"] for tool in request["tools"]]
            deltas += [{"tool_calls": [part]} for part in self._call_parts(names)]
            finish = "tool_calls"
        else:
            deltas += [{"content": piece} for piece in PIECES]
        events = [self._chunk(at, delta, None) for delta in deltas for at in range(count)]
        last = _event(self._head("chat.completion.chunk") | {"choices": [], "usage": product.usage})
        tells = product.has_usage and request.get("stream_options", {}).get("include_usage")
        for at in range(count):
            events.append(self._chunk(at, {}, finish))
            if tells and (product.usage_of_one or at == count - 1):
                events.append(last)
        return [*events, _DONE] if product.says_done else events

    def _call_parts(self, names: list[str]) -> list[Json]:
        calls = self._calls(names)
        if self.product.whole_arguments:
            return calls
        parts = []
        for at, call in enumerate(calls):
            half = len(ARGUMENTS) // 2
            parts.append(call | {"function": {"name": names[at], "arguments": ""}})
            for text in (ARGUMENTS[:half], ARGUMENTS[half:]):
                parts.append({"index": at, "function": {"arguments": text}})
        return parts

    def _chunk(self, at: int, delta: Json, finish: str | None) -> str:
        product = self.product
        choice = {"index": at, "delta": product.delta | delta, "finish_reason": finish}
        chunk = self._head("chat.completion.chunk") | {"choices": [choice | product.choice]}
        return _event(chunk | ({"usage": None} if product.chunk_usage else {}))

    # --- HTTP -------------------------------------------------------------------------------------

    def _http(
        self, status: int, body: Any, kind: str = "application/json", headers: tuple[str, ...] = ()
    ) -> bytes:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(data)}"]
        return "\r\n".join([*lines, *headers, "", ""]).encode() + data

    def _stream(self, data: bytes) -> bytes:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        head += b"transfer-encoding: chunked\r\n\r\n"
        size = 37 if self.product.split else len(data)
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        return head + framed + b"0\r\n\r\n"
