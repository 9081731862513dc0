"""Both versions are asked the same through a running server, and no failure spoils the rest."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from hall_inside import open_inside
from quirky_upstream import PRODUCTS, TEXT, QuirkyUpstream

from keyhall import tokenizers
from keyhall.clock import ManualClock
from keyhall.config import Upstream
from keyhall.flows.compare import asking
from keyhall.flows.compare.asking import Server
from keyhall.policy.answers.comparison import Answer
from keyhall.policy.limits import Limits

HELLO = [{"role": "user", "content": "Hello"}]


async def compared(url, key, prompts=(HELLO,), models=("v1", "v1.1"), **more):
    server = Server(url, key, wait=more.pop("wait", asyncio.sleep))
    told = []
    options = {"seeds": 1, "cap": 12, "at_once": 2} | more
    try:
        pairs = await asking.ask_both(
            server, models, prompts, told=lambda *numbers: told.append(numbers), **options
        )
    finally:
        await server.close()
    return pairs, told


def inside(house, story, **settings):
    async def opened():
        clock = ManualClock(house.now_us)
        async with open_inside(house.data, clock, **settings) as server:
            return await story(server)

    return asyncio.run(opened())


def test_both_versions_answer_each_prompt_with_each_seed_and_it_is_metered(house):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        pairs, told = await compared(f"{server.url}/v1/", key, [HELLO, HELLO], seeds=2, cap=30)
        assert [(pair.prompt, pair.seed) for pair in pairs] == [(0, 1), (0, 2), (1, 1), (1, 2)]
        assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
        for pair in pairs:
            assert (pair.first.model, pair.second.model) == ("v1-sandbox-1", "v1.1-sandbox-1")
            assert pair.first.fingerprint.startswith("fp_")
            assert pair.first.text
            assert pair.first.output_tokens == 30
            assert pair.first.finish == "length"
            assert 0 < pair.first.first_ms <= pair.first.total_ms
            assert pair.is_whole
        assert pairs[0].first.text == pairs[2].first.text  # The same seed, the same words.
        assert len(await server.usage()) == 8

    inside(house, story)


def test_a_version_that_fails_is_told_and_the_other_goes_on(house):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        pairs, _ = await compared(f"{server.url}/v1", key, models=("v1", "none-such"))
        assert pairs[0].first.text
        assert pairs[0].second.problem.startswith("404: ")
        assert "none-such" in pairs[0].second.problem
        wrong, _ = await compared(f"{server.url}/v1", "sk-kh_wrong")
        assert wrong[0].first.problem.startswith("401: ")

    inside(house, story)


def test_where_there_is_no_server_each_answer_says_so():
    pairs, _ = asyncio.run(compared("http://127.0.0.1:1/v1", "sk-1"))
    assert pairs[0].first.problem.startswith("No answer: ")
    assert not pairs[0].is_whole


def test_a_limit_is_waited_for_and_no_latency_counts_the_wait(house):
    async def story(server):
        project = await server.make_project("slow", Limits(requests_per_minute=1))
        key = (await server.make_key(project=project.id)).text.reveal()
        waits = []

        async def wait(seconds):
            waits.append(seconds)
            server.clock.advance(int(seconds * 1_000_000) + 1)

        pairs, _ = await compared(f"{server.url}/v1", key, wait=wait)
        assert pairs[0].is_whole
        assert len(waits) == 1
        assert 0 < waits[0] <= 60
        assert pairs[0].second.total_ms < 10_000

        async def impatient(seconds):
            waits.append(seconds)

        pairs, _ = await compared(f"{server.url}/v1", key, wait=impatient)
        assert pairs[0].first.problem == "The server asked to wait again and again."

    inside(house, story)


def test_a_stream_that_breaks_off_is_a_failure_that_shows_what_had_come(house):
    async def story(server):
        key = (await server.make_key()).text.reveal()
        broken = [{"role": "user", "content": "fail breaks"}]
        pairs, _ = await compared(f"{server.url}/v1", key, [broken, HELLO])
        assert pairs[0].first.problem.startswith("It broke off: ")
        assert TEXT.startswith(pairs[0].first.text)
        assert pairs[1].first.text == TEXT

    async def run():
        async with QuirkyUpstream(PRODUCTS["vllm"]) as upstream:
            model = upstream.product.model
            settings = Upstream(base_url=upstream.url, api_key="sk-1", model=model)
            clock = ManualClock(house.now_us)
            async with open_inside(house.data, clock, upstream=settings) as server:
                await story(server)
            # Any other server of the protocol can be asked as well, as the bench does.
            for product, finish in (("lm-studio", "stop"), ("sglang", "stop")):
                async with QuirkyUpstream(PRODUCTS[product]) as other:
                    pairs, _ = await compared(other.url, "", models=("a", "b"))
                    assert (pairs[0].first.text, pairs[0].first.finish) == (TEXT, finish)

    asyncio.run(run())


def test_an_answer_that_is_no_stream_or_ends_too_early_is_a_failure():
    class Heard(asking._Heard):
        pass

    for data, problem in (
        (b"data: [1]\n\n", "It is no stream of chat"),
        (b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n', "Its stream ended"),
        (b"<html>", "Its stream ended"),
    ):
        heard = Heard(0.0)
        heard.feed(data)
        assert heard.answer().problem.startswith(problem)


def test_repetition_is_told_in_the_same_tokens_for_both():
    (pair,) = asking.measured(
        [asking.Pair(0, 1, Answer("la la la la la la"), Answer("\ud800 la"))],
        tokenizers.load("o200k_base"),
    )
    assert pair.first.repetition.longest == 4
    assert pair.second.repetition.tokens > 0
