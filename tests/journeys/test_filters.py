"""The filter through the whole program: settings, official client, streams, holders' own rules."""

from typing import Any

import openai
import pytest
from openai import OpenAI
from patience import PATIENCE_SECONDS

QUESTION: Any = [{"role": "user", "content": "Tell me of keys and of doors, at some length."}]
FILTER = """
[sandbox]
tokens_per_second = 0
[filter]
terms = ["{terms}"]
terms_action = "block"
email = "mask"
secrets = "block"
"""


@pytest.fixture
def house(premises: Any, started: Any, tmp_path: Any) -> Any:
    """Two lives of one server: without a filter, to learn what the sandbox says to the question,
    and with one that blocks a word of it."""
    from command_line import keyhall_json

    terms = tmp_path / "terms.txt"
    plain = premises.config.read_text()
    premises.config.write_text(plain + "[sandbox]\ntokens_per_second = 0\n")
    server = started()
    options = ("keys", "create", "--name", "journey", "--tier", "roomy")
    key = keyhall_json(premises.data, premises.config, *options)["key"]
    with OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client:
        said = client.chat.completions.create(model="v1", messages=QUESTION, seed=1)
        answer = said.choices[0].message.content or ""
    assert server.stop() == 0
    words = answer.split()
    word = next(w for w in words[len(words) // 2 :] if w.isalpha() and len(w) > 4)
    terms.write_text(f"# what the test looks for\n{word}\n")
    premises.config.write_text(plain + FILTER.format(terms=terms))
    server = started()
    with OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as client:
        yield client, answer, word


def before(answer: str, word: str) -> str:
    """What passes of the sandbox's answer: up to where the word stands by itself."""
    at = 0
    while True:
        at = answer.lower().index(word.lower(), at)
        around = answer[at - 1 : at], answer[at + len(word) : at + len(word) + 1]
        if not any(each.isalnum() for each in around):
            return answer[:at]
        at += 1


def test_what_the_official_client_sees_of_a_filter(house: Any) -> None:
    """Contract 5.6: the same text passes whole and streamed, the rule is named where each kind of
    answer can name it, and a blocked question is a bad request that is not tried again. (One test:
    its server starts twice.)"""
    client, answer, word = house
    whole_and_streamed(client, answer, word)
    by_the_stream_helper(client)
    asked(client, word)


def whole_and_streamed(client: OpenAI, answer: str, word: str) -> None:
    raw = client.chat.completions.with_raw_response.create(model="v1", messages=QUESTION, seed=1)
    whole = raw.parse()
    (choice,) = whole.choices
    assert choice.finish_reason == "content_filter"
    assert choice.message.content == before(answer, word)
    assert raw.headers["x-keyhall-filter"] == "block=terms/terms"
    assert choice.keyhall["filter"]["rule"] == "terms/terms"

    chunks = list(
        client.chat.completions.create(
            model="v1",
            messages=QUESTION,
            seed=1,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == before(answer, word)
    assert chunks[-1].usage.completion_tokens > 0
    assert chunks[-2].choices[0].finish_reason == "content_filter"
    assert chunks[-2].choices[0].keyhall["filter"]["rule"] == "terms/terms"


def by_the_stream_helper(client: OpenAI) -> None:
    """It has an error of its own for such an end."""
    with client.chat.completions.stream(model="v1", messages=QUESTION, seed=1) as stream:
        for _ in stream:
            pass
        with pytest.raises(openai.ContentFilterFinishReasonError):
            stream.get_final_completion()


def asked(client: OpenAI, word: str) -> None:
    for text in (
        f"What is {word.upper()}?",
        "Use sk-kh_" + "live_4fzzwcjhqg8wfrzrxz9e4ypkqv8p2m1n",
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(
                model="v1", messages=[{"role": "user", "content": text}], stream=True
            )
        assert refused.value.code == "content_policy_violation"
        assert refused.value.param == "messages[0].content"
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert text not in str(refused.value)


def test_a_hall_does_not_start_with_a_filter_that_cannot_be_used(premises: Any) -> None:
    """A slip must not open what was to be closed: the start says what is wrong instead."""
    text = premises.config.read_text()
    premises.config.write_text(text + '[filter]\nterms = ["/nowhere/terms.txt"]\n')
    process = premises.spawn()
    assert process.popen.wait(PATIENCE_SECONDS) != 0
    assert "[filter] terms: /nowhere/terms.txt cannot be read" in process.log.read_text()
