"""What a model in the house is told: an allow-list of fields, with nothing left to its defaults."""

import json

import pytest

from keyhall.errors import ApiError
from keyhall.policy.catalogue import LATER, Sampling
from keyhall.wire import chat_local, chat_read

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("one", "two")
]
CALL = {"id": "c1", "type": "function", "function": {"name": "one", "arguments": "{}"}}


def request(**fields):
    whole = {"model": "m", "messages": [{"role": "user", "content": "Hello."}]} | fields
    return chat_read.read(json.dumps(whole).encode())


def told(asked, sampling=None, *, cap=9, caches=False):
    return json.loads(
        chat_local.encode_call(
            asked, output_cap=cap, sampling=sampling or Sampling(), caches_prompt=caches
        )
    )


def test_what_decides_an_answer_is_always_said() -> None:
    assert told(request()) == {
        "messages": [{"role": "user", "content": "Hello."}],
        "max_tokens": 9,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repeat_last_n": 64,
        "cache_prompt": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_r25_fields_that_are_not_the_models_business_do_not_reach_it() -> None:
    asked = request(
        user="u", metadata={"a": "b"}, store=False, service_tier="auto", truncation="auto",
        stream=False, max_tokens=5, prompt_cache_key="k", reasoning_effort="low",
    )  # fmt: skip
    assert told(asked) == told(request())


def test_r8_a_request_goes_before_the_versions_sampling() -> None:
    sampling = Sampling(0.5, 0.6, 0.7, 0.8)
    names = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
    body = told(request(), sampling)
    assert [body[name] for name in names] == [0.5, 0.6, 0.7, 0.8]
    body = told(request(**dict.fromkeys(names, 0)), sampling)
    assert [body[name] for name in names] == [0, 0, 0, 0]


def test_r8_what_a_version_has_against_repetition_goes_along() -> None:
    later = {name: number for number, name in enumerate(LATER, 1)}
    body = told(request(), Sampling(**later))
    called = {"repetition_penalty": "repeat_penalty"}
    assert {name: body[called.get(name, name)] for name in LATER} == later


@pytest.mark.parametrize(
    ("seed", "sent"), [(0, 0), (7, 7), (2**32 - 1, 0), (-1, 2**32 - 2), (2**63 - 1, 2**31 - 1)]
)
def test_a_seed_of_64_bits_becomes_one_of_32_that_means_a_seed(seed, sent) -> None:
    assert told(request(seed=seed))["seed"] == sent


def test_log_probabilities_need_an_alternative_to_be_told_at_all() -> None:
    assert "top_logprobs" not in told(request())
    assert told(request(logprobs=True))["top_logprobs"] == 1
    assert told(request(logprobs=True, top_logprobs=5))["top_logprobs"] == 5


def test_the_rest_goes_as_it_came() -> None:
    fields = {"n": 2, "stop": ["a", "b"], "logit_bias": {"5": -1}, "parallel_tool_calls": False}
    fields |= {"tools": TOOLS, "tool_choice": "auto"}
    body = told(request(**fields), caches=True)
    assert body["cache_prompt"] is True
    assert {name: body[name] for name in fields} == fields


def test_one_tool_by_its_name_is_the_only_one_and_required() -> None:
    choice = {"type": "function", "function": {"name": "two"}}
    body = told(request(tools=TOOLS, tool_choice=choice))
    assert (body["tools"], body["tool_choice"]) == ([TOOLS[1]], "required")


def test_messages_have_the_roles_and_the_texts_that_templates_know() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    refusal = [{"type": "refusal", "refusal": "no"}]
    messages = [
        {"role": "developer", "content": "d", "name": "n"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": refusal},
        {"role": "assistant", "content": None, "refusal": "never"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "result"},
        {"role": "user", "content": "go on"},
    ]
    assert told(request(messages=messages))["messages"] == [
        {"role": "system", "content": "d"},
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": "no"},
        {"role": "assistant", "content": "never"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "result", "tool_call_id": "c1"},
        {"role": "user", "content": "go on"},
    ]


def test_the_count_is_of_what_the_prompt_is_made_of() -> None:
    fields = {"tools": TOOLS, "response_format": {"type": "json_object"}}
    asked = request(messages=[{"role": "user", "content": "json"}], n=3, seed=1, **fields)
    body = json.loads(chat_local.encode_prompt(asked))
    assert set(body) == {"messages", "tools", "response_format"}
    whole = told(asked)
    assert body == {name: whole[name] for name in body}


def test_functions_of_the_old_form_are_refused() -> None:
    with pytest.raises(ApiError, match="send them as 'tools'"):
        told(request(functions=[{"name": "f"}]))


def test_looking_back_at_all_is_said_in_a_number_that_the_engine_takes() -> None:
    body = told(request(), Sampling(repeat_last_n=-1, dry_penalty_last_n=-1))
    assert body["repeat_last_n"] == body["dry_penalty_last_n"] == 1_000_000
