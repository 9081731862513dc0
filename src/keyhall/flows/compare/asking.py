"""Asking a running server as any client does: with a key, streamed, metered, with honest latency.

Not in process: the numbers of another machine's engine, queue and network are those that callers
get, and what is asked is charged to the key that asks. Read with the readers of `wire`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import httpx2
import msgspec

from keyhall.flows.compare.prompts import Messages
from keyhall.policy.answers import repetition
from keyhall.policy.answers.comparison import Answer, Pair
from keyhall.policy.tokens import Tokenizer
from keyhall.wire import chat_answer, sse
from keyhall.wire.chat import Chunk
from keyhall.wire.chat_answer import BadAnswer, UpstreamError

TRIES_MAX = 6  # while the server says to wait
WAIT_SECONDS_MAX = 75.0  # at once: a minute's window has passed by then
SILENCE_SECONDS_MAX = 600.0
PROBLEM_CHARACTERS_MAX = 300
TEXT_CHARACTERS_MAX = 1_000_000

Wait = Callable[[float], Awaitable[None]]


class Asks(Protocol):
    """Who can be asked."""

    async def ask(self, model: str, messages: Messages, seed: int, cap: int) -> Answer: ...


class Server:
    """A server that speaks OpenAI's protocol, by its base address (with `/v1`) and a key."""

    def __init__(
        self, url: str, key: str, *, ca_file: str | None = None, wait: Wait = asyncio.sleep
    ) -> None:
        self.url = url.rstrip("/")
        self._wait = wait
        self._client = httpx2.AsyncClient(
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(SILENCE_SECONDS_MAX, connect=10.0),
            limits=httpx2.Limits(max_connections=None),
            verify=ca_file or True,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, model: str, messages: Messages, seed: int, cap: int) -> Answer:
        """Never raises for what the server does: the problem is told in the answer. Where the
        server says when to come again, that is waited for and counts in no latency."""
        body = {
            "model": model,
            "messages": messages,
            "seed": seed,
            "max_tokens": cap,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        for left in reversed(range(TRIES_MAX)):
            try:
                found = await self._stream(body)
            except (httpx2.HTTPError, OSError) as error:
                return Answer(problem=f"No answer: {error or type(error).__name__}"[:300])
            if isinstance(found, Answer):
                return found
            if left:
                await self._wait(found)
        return Answer(problem="The server asked to wait again and again.")

    async def _stream(self, body: dict[str, Any]) -> Answer | float:
        """The answer, or the seconds to wait before the next try."""
        began = time.perf_counter()
        post = self._client.stream("POST", f"{self.url}/chat/completions", json=body)
        async with post as response:
            if response.status_code != 200:
                said = await response.aread()
                seconds = _seconds(response.headers) if response.status_code in (429, 503) else None
                return _refused(response.status_code, said) if seconds is None else seconds
            heard = _Heard(began)
            async for data in response.aiter_raw():
                heard.feed(data)
            return heard.answer()


def _seconds(headers: httpx2.Headers) -> float | None:
    """When to come again; None if that would be of no use."""
    if headers.get("x-should-retry") == "false":
        return None
    try:
        if "retry-after-ms" in headers:
            return min(float(headers["retry-after-ms"]) / 1000, WAIT_SECONDS_MAX)
        return min(float(headers["retry-after"]), WAIT_SECONDS_MAX)
    except (KeyError, ValueError):
        return None


def _refused(status: int, body: bytes) -> Answer:
    words = ""
    try:
        words = str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, LookupError, TypeError):
        words = "no reason that can be read"
    return Answer(problem=f"{status}: {words}"[:PROBLEM_CHARACTERS_MAX])


class _Heard:
    """Fed with a stream's bytes, gives the answer."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._decoder = sse.Decoder()
        self._parts: list[str] = []
        self._characters = 0
        self._is_done = False
        self._answer = Answer()

    def feed(self, data: bytes) -> None:
        now_ms = (time.perf_counter() - self._began) * 1000
        try:
            for payload in self._decoder.feed(data):
                said = chat_answer.read_chunk(payload)
                if isinstance(said, Chunk):
                    self._hear(said, now_ms)
                elif isinstance(said, UpstreamError):
                    self._fail(f"It broke off: {said.message}")
                else:
                    self._is_done = True
                    self._answer = replace(self._answer, total_ms=now_ms)
        except (BadAnswer, sse.EventTooLarge) as error:
            self._fail(f"It is no stream of chat: {error}")

    def _hear(self, chunk: Chunk, now_ms: float) -> None:
        answer = self._answer
        if chunk.model and not answer.model:
            answer = replace(answer, model=chunk.model, fingerprint=chunk.system_fingerprint or "")
        for choice in chunk.choices[:1]:
            if choice.delta.content and self._characters < TEXT_CHARACTERS_MAX:
                self._characters += len(choice.delta.content)
                self._parts.append(choice.delta.content)
            if answer.first_ms is None and (choice.delta.content or choice.delta.tool_calls):
                answer = replace(answer, first_ms=now_ms)
            if choice.finish_reason is not None:
                answer = replace(answer, finish=choice.finish_reason, total_ms=now_ms)
        if chunk.usage:
            answer = replace(
                answer,
                input_tokens=chunk.usage.prompt_tokens,
                output_tokens=chunk.usage.completion_tokens,
            )
        self._answer = answer

    def _fail(self, problem: str) -> None:
        self._answer = replace(self._answer, problem=problem[:PROBLEM_CHARACTERS_MAX])

    def answer(self) -> Answer:
        if not (self._answer.problem or self._answer.finish):
            self._fail("Its stream ended before the answer was complete.")
        return replace(self._answer, text="".join(self._parts))


async def ask_both(
    server: Asks,
    models: tuple[str, str],
    prompts: Sequence[Messages],
    *,
    seeds: int,
    cap: int,
    at_once: int,
    told: Callable[[int, int], None],
) -> list[Pair]:
    """Every prompt with the seeds 1, 2, … of both, in the order of the file. Who is asked first
    alternates, so that neither has the warm cache; `told` gets how many pairs are there."""
    places = [(prompt, seed) for prompt in range(len(prompts)) for seed in range(1, seeds + 1)]
    slots = asyncio.Semaphore(at_once)
    done = 0

    async def pair(prompt: int, seed: int) -> Pair:
        nonlocal done
        async with slots:
            order = models if (prompt + seed) % 2 else models[::-1]
            said = {}
            for model in order:
                said[model] = await server.ask(model, prompts[prompt], seed, cap)
        done += 1
        told(done, len(places))
        return Pair(prompt, seed, said[models[0]], said[models[1]])

    told(0, len(places))
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(pair(prompt, seed)) for prompt, seed in places]
    return [task.result() for task in asked]


def measured(pairs: Sequence[Pair], tokenizer: Tokenizer) -> list[Pair]:
    """With how much each answer repeats itself, told of one vocabulary for both versions."""
    return [
        replace(
            pair, first=_measured(pair.first, tokenizer), second=_measured(pair.second, tokenizer)
        )
        for pair in pairs
    ]


def _measured(answer: Answer, tokenizer: Tokenizer) -> Answer:
    text = answer.text.encode("utf-8", "replace").decode()  # A lone surrogate is no token.
    return replace(answer, repetition=repetition.measure(tokenizer.encode(text)))
