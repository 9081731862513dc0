"""What the playground says before something is sent is what comes of it when it is."""

import json
import re

from playing import console, make

from keyhall import errors

SYSTEM = {"role": "system", "content": "You are brief. " * 20}
SHORT = [{"role": "user", "content": "What is a key? \N{KEY}"}]
LONG = [
    {"role": "user", "content": "Tell me about halls. " * 300},
    {"role": "assistant", "content": "Halls have doors. " * 800},
    {"role": "user", "content": "And lanes?"},
]


async def count(browser, **request):
    answer = await console(browser, "/playground/count", request=json.dumps(request))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ask(browser, key, **request):
    head = {"authorization": f"Bearer {key}"}
    return await browser.client.post("/v1/chat/completions", json=request, headers=head)


def test_the_count_is_the_usage(hall):
    async def story(hall):
        key = (await make(hall.browser)).json()["key"]
        schema = {"name": "a", "schema": {"type": "object", "properties": {}}}
        for request in (
            {"model": "v1", "messages": SHORT},
            {"model": "v1.1", "messages": [SYSTEM, *SHORT], "max_tokens": 7},
            {
                "model": "v1",
                "messages": SHORT,
                "response_format": {"type": "json_schema", "json_schema": schema},
            },
        ):
            counted = await count(hall.browser, **request)
            answer = await ask(hall.browser, key, **request)
            assert counted["tokens"] == answer.json()["usage"]["prompt_tokens"]
            assert counted["output_cap"] == int(answer.headers["x-keyhall-output-cap"])
            assert counted["limit"] == counted["output_max"] == 4096
            assert len(counted["each"]) == len(request["messages"])

    hall(story)


def test_the_preview_is_what_truncation_leaves_out(hall):
    async def story(hall):
        key = (await make(hall.browser)).json()["key"]
        request = {"model": "v1", "messages": [SYSTEM, *LONG], "max_tokens": 5}
        counted = await count(hall.browser, **request)
        assert counted["tokens"] > counted["limit"]
        assert counted["goes"] == [1, 2]
        answer = await ask(hall.browser, key, **request, truncation="auto")
        told = re.match(r"messages=(\d+)", answer.headers["x-keyhall-truncated"])
        assert int(told[1]) == len(counted["goes"])
        assert answer.json()["usage"]["prompt_tokens"] == counted["fitted"]

    hall(story)


def test_what_cannot_be_shortened_says_so(hall):
    async def story(hall):
        messages = [{"role": "user", "content": "word " * 5_000}]
        counted = await count(hall.browser, model="v1", messages=messages)
        assert (counted["goes"], counted["fitted"]) == (None, None)
        far = await count(hall.browser, model="v1", messages=[*LONG * 20, *messages])
        assert far["tokens"] > 4 * far["limit"]

    hall(story)


def test_what_is_no_request_is_refused_with_the_server_s_own_words(hall):
    async def story(hall):
        for text in ("", "{", '{"model": "none", "messages": []}', '{"model": "v1"}', "\ud800"):
            fields = {"request": text.encode("utf-8", "surrogatepass")}
            answer = await console(hall.browser, "/playground/count", **fields)
            assert answer.status_code == 400, text
            assert answer.json()["said"]

    hall(story)


def test_a_refusal_is_explained_with_its_fix(hall):
    async def story(hall):
        said = "The model `v9` does not exist or you do not have access to it."
        for status in ("404", ""):
            answer = await console(hall.browser, "/playground/explain", status=status, message=said)
            explained = answer.json()
            assert explained["href"] == "/docs/errors#model_unknown"
            assert explained["advice"] == errors.MODEL_UNKNOWN.advice
        other = await console(hall.browser, "/playground/explain", status="x", message="Hm.")
        assert other.json() is None

    hall(story)


def test_without_javascript_the_page_says_how_to_ask(hall):
    async def story(hall):
        assert await hall.browser.visit("/playground?model=v1.1") == 200
        text = hall.browser.page.find("noscript").get_text()
        assert "needs JavaScript" in text
        assert f"curl {hall.server.url}/v1/chat/completions" in text
        chosen = hall.browser.page.find(id="model").find("option", selected=True)
        assert chosen["value"] == "v1.1"

    hall(story)
