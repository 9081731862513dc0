"""An official client gets the same from every model server that people run, whatever its habits.

Each story goes through a whole Keyhall, with the official client, to a stub that behaves as the
product does (`tests/running/quirky_upstream.py`).
"""

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from hall_inside import open_inside
from quirky_upstream import ARGUMENTS, PRODUCTS, TEXT, USAGE, QuirkyUpstream

from keyhall.clock import ManualClock
from keyhall.config import Upstream
from keyhall.policy.metering import Outcome, UsageSource

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("weather", "news")
]
BUSY, REJECTED, FAILED = "server_is_overloaded", "engine_rejected", "engine_failed"
# What the caller is told of each failure.
TOLD = [
    ("llama-server", "loading", 503, BUSY),
    ("llama-server", "too long", 400, REJECTED),
    ("llama-server", "no model", 502, FAILED),
    ("ollama", "busy", 503, BUSY),
    ("ollama", "no model", 502, FAILED),
    ("ollama", "no memory", 502, FAILED),
    ("vllm", "too long", 400, REJECTED),
    ("vllm", "no model", 502, FAILED),
    ("vllm", "dead", 502, FAILED),
    ("vllm", "gives up", 502, FAILED),
    ("sglang", "too long", 400, REJECTED),
    ("sglang", "invalid", 400, REJECTED),
    ("lm-studio", "not loaded", 502, FAILED),
    ("lm-studio", "no endpoint", 502, FAILED),
    ("lm-studio", "invalid", 400, REJECTED),
    ("ray-serve", "scaling", 503, BUSY),
    ("ray-serve", "no app", 502, FAILED),
    ("ray-serve", "crashed", 502, FAILED),
    ("ray-serve", "slow", 503, BUSY),
    ("ray-serve", "too long", 400, REJECTED),
]
BREAKING = {"sglang": BUSY}  # It says 503 in its stream.


@asynccontextmanager
async def asked(house, product, **habits):
    """A hall whose `v1` is the product's model, a client of it, and a look at its usage."""
    async with QuirkyUpstream(replace(PRODUCTS[product], **habits)) as upstream:
        settings = Upstream(base_url=upstream.url, api_key="sk-1", model=upstream.product.model)
        clock = ManualClock(house.now_us)
        async with open_inside(house.data, clock, upstream=settings) as server:
            key = (await server.make_key()).text.reveal()
            url = f"{server.url}/v1"
            async with AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
                yield upstream, client, server


def ask(client, words="Hello", **more):
    messages = [{"role": "user", "content": words}]
    return client.chat.completions.create(model="v1", messages=messages, **more)


async def read(client, words="Hello", **more):
    """A stream's texts, tool calls and finish reasons by choice, and its usage."""
    options = {"include_usage": True}
    texts, calls, finishes, usage = {}, {}, {}, None
    async for chunk in await ask(client, words, stream=True, stream_options=options, **more):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            for call in choice.delta.tool_calls or ():
                name, arguments = calls.get(call.index, ("", ""))
                name += call.function.name or ""
                calls[call.index] = (name, arguments + (call.function.arguments or ""))
            if choice.finish_reason:
                finishes[choice.index] = choice.finish_reason
    return texts, calls, finishes, usage


def count(usage):
    return {name: getattr(usage, name) for name in USAGE}


@pytest.mark.parametrize("product", PRODUCTS)
def test_each_product_answers_whole_streamed_and_with_tools(house, product):
    """Its text, its own count of the tokens and the usual end; of its fields nothing else."""

    async def story():
        async with asked(house, product) as (upstream, client, server):
            whole = await ask(client)
            assert whole.choices[0].message.content == TEXT
            assert whole.choices[0].finish_reason == "stop"
            assert count(whole.usage) == USAGE
            assert not whole.model_extra
            assert not whole.choices[0].message.tool_calls

            texts, _, finishes, usage = await read(client)
            assert (texts, finishes) == ({0: TEXT}, {0: "stop"})
            assert count(usage) == USAGE

            called = (await ask(client, tools=TOOLS)).choices[0]
            assert called.finish_reason == "tool_calls"
            found = [(call.function.name, call.function.arguments)
                     for call in called.message.tool_calls]  # fmt: skip
            assert found == [("weather", ARGUMENTS), ("news", ARGUMENTS)]

            _, calls, finishes, _ = await read(client, tools=TOOLS)
            assert calls == {0: ("weather", ARGUMENTS), 1: ("news", ARGUMENTS)}
            assert finishes == {0: "tool_calls"}

            rows = await server.usage()
            assert [row["usage_source"] for row in rows] == [UsageSource.ENGINE] * 4
            assert {row["outcome"] for row in rows} == {Outcome.ANSWERED}
            assert {request["model"] for request in upstream.asked} == {upstream.product.model}

    asyncio.run(story())


@pytest.mark.parametrize("product", PRODUCTS)
def test_r12_without_a_count_of_the_engines_own_the_usage_says_that_it_is_estimated(house, product):
    async def story():
        async with asked(house, product, has_usage=False) as (_, client, server):
            whole = (await ask(client)).usage
            streamed = (await read(client))[3]
            assert count(whole) == count(streamed)
            assert whole.completion_tokens > 5
            rows = await server.usage()
            assert {row["usage_source"] for row in rows} == {UsageSource.ESTIMATED}

    asyncio.run(story())


@pytest.mark.parametrize("product", PRODUCTS)
def test_each_products_refusals_mean_what_they_mean(house, product):
    """Whole or streamed, the caller learns the same: change the request, wait, or wait for the
    operator. A model that is not there is never the caller's fault."""

    async def story():
        async with asked(house, product) as (_, client, server):
            for failure, status, code in [row[1:] for row in TOLD if row[0] == product]:
                for stream in (False, True):
                    with pytest.raises(openai.APIStatusError) as caught:
                        await ask(client, f"fail {failure}", stream=stream)
                    error = caught.value
                    assert (failure, error.status_code, error.code) == (failure, status, code)
                    assert (status == 503) == ("retry-after" in error.response.headers)
                    assert ("context" in error.message) == (failure == "too long")
            assert {row["input_tokens"] for row in await server.usage()} == {0}

    asyncio.run(story())


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_stream_that_breaks_ends_with_an_error_and_never_as_if_it_were_whole(house, product):
    async def story():
        async with asked(house, product) as (_, client, server):
            with pytest.raises(openai.APIError) as caught:
                await read(client, "fail breaks")
            assert caught.value.code == BREAKING.get(product, FAILED)
            (row,) = await server.usage()
            assert row["outcome"] == Outcome.ENGINE_FAILED

    asyncio.run(story())


@pytest.mark.parametrize("product", ["ollama", "vllm"])
def test_several_choices_come_from_a_server_that_knows_them(house, product):
    """One that does not gives one; the others of a stream are empty, and the count is its own."""

    async def story():
        async with asked(house, product) as (_, client, _server):
            whole = await ask(client, n=2)
            texts, _, finishes, usage = await read(client, n=2)
            knows = product == "vllm"
            assert [choice.message.content for choice in whole.choices] == [TEXT] * (1 + knows)
            assert texts == {0: TEXT, 1: TEXT if knows else ""}
            assert finishes == {0: "stop", 1: "stop"}
            assert count(usage) == USAGE

    asyncio.run(story())


def test_r12_a_count_of_one_choice_never_passes_for_that_of_all(house):
    """llama.cpp tells the tokens of single choices: streamed they are added up; whole, those of the
    others are not told at all, and ours is said to be an estimate."""

    async def story():
        async with asked(house, "llama-server") as (_, client, server):
            whole = await ask(client, n=2)
            assert whole.usage.completion_tokens > USAGE["completion_tokens"]
            assert not whole.model_extra
            texts, _, _, usage = await read(client, n=2)
            assert texts == {0: TEXT, 1: TEXT}
            assert usage.prompt_tokens == USAGE["prompt_tokens"]
            assert usage.completion_tokens == 2 * USAGE["completion_tokens"]
            sources = [row["usage_source"] for row in await server.usage()]
            assert sources == [UsageSource.ESTIMATED, UsageSource.ENGINE]

    asyncio.run(story())


def test_a_server_that_closes_kept_connections_without_a_word_costs_no_request(house):
    async def story():
        async with asked(house, "ray-serve") as (_, client, server):
            for _ in range(6):
                assert (await ask(client)).choices[0].message.content == TEXT
            assert {row["outcome"] for row in await server.usage()} == {Outcome.ANSWERED}

    asyncio.run(story())
