"""Reading a chat request: what is accepted, what is broken, and that nothing else ever happens."""

import copy
import gc
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cpu_time import cpu_seconds
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.policy.catalogue import Sampling
from keyhall.wire import chat_read, chat_write
from keyhall.wire.chat import ChatRequest
from keyhall.wire.chat_read import read
from keyhall.wire.checks.chat_fields import check_fields

USER = {"role": "user", "content": "Hello"}
OK: dict[str, Any] = {"model": "v1", "messages": [USER]}
FULL: dict[str, Any] = {
    "model": "v1.1",
    "messages": [
        {"role": "system", "content": "Answer in JSON."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}], "name": "ann"},
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "annotations": [],
            "parsed": None,
            "tool_calls": [
                {
                    "index": 0,
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "w", "arguments": "{}"},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "20°"},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 12,
    "temperature": 1,
    "top_p": 0.5,
    "n": 2,
    "stop": ["a", "b"],
    "presence_penalty": -1.5,
    "frequency_penalty": 2,
    "seed": -7,
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"12": -100},
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"x": []}}},
    "tools": [
        {
            "type": "function",
            "function": {"name": "w", "description": "d", "parameters": {"a": {"b": [1, {}]}}},
        }
    ],
    "tool_choice": {"type": "function", "function": {"name": "w"}},
    "parallel_tool_calls": True,
    "user": "u",
    "metadata": {"a": "b"},
    "service_tier": "auto",
    "truncation": "auto",
}


def refusal(body: bytes) -> ApiError:
    with pytest.raises(ApiError) as raised:
        read(body)
    assert raised.value.problem.status == 400
    return raised.value


def try_read(body: bytes) -> ChatRequest | ApiError:
    """Nothing but a request or a refusal with status 400 may come out."""
    try:
        return read(body)
    except ApiError as error:
        refused = error
    assert refused.problem.status == 400
    assert msgspec.json.encode(refused.body())
    assert len(str(refused)) < 4000
    return refused


def test_a_request_with_every_field_is_read():
    request = read(json.dumps(FULL).encode())
    assert (request.choices, request.asked_cap, request.wants_usage) == (2, 12, True)
    assert request.messages[2].annotations is None


def test_a_request_with_the_least_is_read():
    request = read(b' {"model":"v1","messages":[{"role":"user"}]} ')
    assert (request.choices, request.asked_cap, request.wants_usage) == (1, None, False)


# --- Broken bodies --------------------------------------------------------------------------------

BROKEN = [
    (b"", "the body is empty"),
    (b" \n", "the body is empty"),
    (b"\xef\xbb\xbf" + json.dumps(OK).encode(), "it begins with a byte order mark"),
    (json.dumps(OK).encode("utf-16"), "it is not UTF-8, but looks like UTF-16 or UTF-32"),
    (json.dumps(OK).encode("utf-16-be"), "it is not UTF-8, but looks like UTF-16 or UTF-32"),
    (json.dumps(OK).encode("utf-32"), "it is not UTF-8, but looks like UTF-16 or UTF-32"),
    (json.dumps(OK).encode() + b"x", "trailing characters (byte 68)"),
    (b'{"model": nul}', "invalid character (byte 14)"),
    (b'{"model": "v1"', "it ends too early, or has half a surrogate pair"),
    (b'{"model": "\\ud800"}', "it ends too early, or has half a surrogate pair"),
    (b'{"model": "\xff"}', "a string is not valid UTF-8"),
    (b'{"model": NaN}', "invalid character (byte 10)"),
    (b'{"n": Infinity}', "invalid character (byte 6)"),
    (b'{"n": 1e999}', "a number is out of range"),
    (b'{"n": ' + b"9" * 5000 + b"}", "a number is out of range"),
    (b"[]", "it is not an object"),
    (b"null", "it is not an object"),
    (b'"model"', "it is not an object"),
    (b"1", "it is not an object"),
]


@pytest.mark.parametrize(("body", "detail"), BROKEN)
def test_a_body_that_is_no_json_object_is_told_what_is_wrong_with_it(body: bytes, detail: str):
    error = refusal(body)
    assert error.problem is errors.BROKEN_JSON
    assert (error.param, error.problem.code) == (None, None)
    assert str(error).startswith("We could not parse the JSON body of your request.")
    assert str(error).endswith(f"was not valid JSON: {detail}.)")


def test_a_refusal_carries_no_exception_that_knows_the_text():
    """I-13: tracebacks are logged, and msgspec's errors hold pieces of the body."""
    for body in (b'{"model": "\xff secret"}', b'{"model": "v1", "n": "secret", ', b'{"n": "s"}'):
        error = refusal(body)
        assert error.__cause__ is None
        assert error.__context__ is None


@pytest.mark.parametrize("cut", range(len(json.dumps(OK))))
def test_f17_a_body_cut_at_any_byte_is_refused(cut: int):
    assert refusal(json.dumps(OK).encode()[:cut]).problem is errors.BROKEN_JSON


def test_f17_the_last_of_duplicate_keys_counts_in_both_readings():
    fast = b'{"model":"a","model":"v1","messages":[{"role":"user","role":"system"}]}'
    slow = b'{"n":"x","model":5,"model":"v1","messages":[{"role":"user"}],"n":2}'
    assert (read(fast).model, read(fast).messages[0].role) == ("v1", "system")
    assert (read(slow).model, read(slow).n) == ("v1", 2)
    # Fields that may only be null: the last one is.
    assert (
        read(b'{"audio":{},"model":"v1","messages":[{"role":"user"}],"audio":null}').audio is None
    )


def test_rules_between_fields_hold_in_the_slow_reading_too():
    body = b'{"n":"x","n":1,"model":"v1","messages":[{"role":"user"}],"top_logprobs":1}'
    assert refusal(body).problem is errors.TOP_LOGPROBS_ALONE


def test_a_value_that_does_not_fit_the_types_after_all_is_still_a_refusal():
    with pytest.raises(ApiError, match="not shaped like a chat request"):
        chat_read.convert({"model": 1, "messages": []})


# --- Depth and size -------------------------------------------------------------------------------


def schema(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def tools(levels: int) -> dict[str, Any]:
    return {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema(levels)}}]
    }


def functions(levels: int) -> dict[str, Any]:
    return {"functions": [{"name": "f", "parameters": schema(levels)}]}


def response_format(levels: int) -> dict[str, Any]:
    form = {"name": "f", "schema": schema(levels)}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


@pytest.mark.parametrize(("make", "above"), [(tools, 4), (functions, 3), (response_format, 3)])
def test_f21_the_depth_of_schemas_is_bounded_exactly_in_both_readings(make: Any, above: int):
    """`n` sent twice, first wrong, takes the slow way with the same outcome."""
    for levels in (60 - above, 64 - above, 65 - above, 100):
        for prefix in ("", '"n": "x", "n": 1, '):
            body = json.dumps({**OK, **make(levels)}).replace("{", "{" + prefix, 1).encode()
            if levels + above <= 64:
                assert read(body).model == "v1"
            else:
                error = refusal(body)
                assert error.problem is errors.TOO_DEEP
                assert "more than 64 levels" in str(error)


def test_f17_a_body_that_is_too_deep_even_to_be_read_is_called_too_deep():
    depth = sys.getrecursionlimit() + 1
    body = b'{"messages":' + b"[" * depth + b"]" * depth + b"}"
    assert refusal(body).problem is errors.TOO_DEEP


def test_f21_many_tools_are_not_deep():
    tool = {"type": "function", "function": {"name": "f", "parameters": schema(5)}}
    assert read(json.dumps({**OK, "tools": [tool] * 20}).encode()).tools


def test_a_text_full_of_brackets_is_not_deep():
    assert read(json.dumps({**OK, "messages": [{"role": "user", "content": "[{" * 500}]}).encode())


def with_digits(digits: bytes) -> bytes:
    return json.dumps({**OK, "n": 0}).encode().replace(b"0", digits)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "arrays never closed": lambda: b"[" * 1_000_000,
    "objects never closed": lambda: b'{"a":' * 200_000,
    "deep messages": lambda: b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "unknown keys": lambda: json.dumps({str(i): i for i in range(100_000)}).encode(),
    "metadata": lambda: json.dumps({**OK, "metadata": dict.fromkeys(range(40_000), "")}).encode(),
    "4,300 digits": lambda: with_digits(b"9" * 4_300),
    "100,000 digits": lambda: with_digits(b"9" * 100_000),
    "a large exponent": lambda: with_digits(b"1e" + b"9" * 100_000),
    "9 MB of empty arrays": lambda: b'{"x":[' + b"[]," * 3_000_000 + b"1]}",
    "9 MB of empty strings": lambda: b'{"x":[' + b'"",' * 3_000_000 + b"1]}",
    "9 MB of messages": lambda: (
        b'{"model":"v1","messages":[' + b'{"role":"user"},' * 600_000 + b'{"role":"user"}]}'
    ),
    "120 kB of empty arrays": lambda: b'{"x":[' + b"[]," * 40_000 + b"1]}",
    "5 MB of a user's name": lambda: json.dumps({**OK, "user": "u" * 5_000_000}).encode(),
}


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    """The server freezes its heap; that of the tests would be searched again and again."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_garbage_collection")
@pytest.mark.parametrize("name", HOSTILE)
def test_f17_f22_hostile_bodies_are_refused_quickly(name: str):
    """I-11. Each takes some milliseconds; the bound leaves room for a loaded machine."""
    body = HOSTILE[name]()
    assert isinstance(try_read(body), ApiError)
    assert cpu_seconds(lambda: try_read(body), 0.1) < 0.1


def test_a_large_body_with_too_many_values_is_told_the_bound():
    error = refusal(b'{"x":[' + b"[]," * 100_001 + b"1]}")
    assert str(error).endswith("it has more than 100000 commas and brackets.)")


def test_a_large_text_is_read():
    text = "A long text, with commas. " * 20_000
    request = read(json.dumps({**OK, "messages": [{"role": "user", "content": text}]}).encode())
    assert request.messages[0].content == text


# --- Corpora --------------------------------------------------------------------------------------


def test_i16_every_file_of_the_json_corpus_is_refused_as_a_whole_body(corpora: Path):
    """None of the 318 is a chat request; what must be rejected is told to be broken JSON."""
    files = sorted((corpora / "json").glob("*.json"))
    assert len(files) == 318
    for path in files:
        outcome = try_read(path.read_bytes())
        assert isinstance(outcome, ApiError), path.name
        if path.name.startswith("n_"):
            assert outcome.problem in (errors.BROKEN_JSON, errors.TOO_DEEP), path.name
        elif path.name.startswith("y_"):
            assert outcome.problem in (errors.BROKEN_JSON, errors.MODEL_REQUIRED), path.name


def test_i16_every_valid_json_value_may_stand_in_a_schema(corpora: Path):
    for path in sorted((corpora / "json").glob("y_*.json")):
        inner = b'{"x":' + path.read_bytes() + b"}"
        body = json.dumps({**OK, "tools": 0}).encode()
        tool = b'[{"type":"function","function":{"name":"f","parameters":%b}}]' % inner
        request = read(body.replace(b"0", tool))
        assert request.tools is not None, path.name


def test_naughty_strings_reach_an_upstream_byte_for_byte(corpora: Path):
    strings = json.loads((corpora / "naughty-strings.json").read_text(encoding="utf-8"))
    assert len(strings) >= 500
    for text in strings:
        messages = [
            {"role": "user", "content": text},
            {"role": "assistant", "content": [{"type": "text", "text": text}]},
        ]
        request = read(json.dumps({"model": "v1", "messages": messages}).encode())
        sent = json.loads(
            chat_write.encode_upstream(
                request,
                model="m",
                output_cap=1,
                cap_field="max_tokens",
                sampling=Sampling(),
                stream=False,
            )
        )
        assert sent["messages"] == messages


# --- Fuzz -----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
KEYS = st.sampled_from([*ChatRequest.__struct_fields__, "role", "content", "type", "function"])
# Values that are right in some place make more interesting wrong requests than random ones.
LIKELY = (
    st.sampled_from(
        [None, True, 0, 1, 2, 9, 1.5, "", "user", "tool", "text", "function", "json_object", [], {}]
    )
    | JSON
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a JSON value."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


PLACES = [place for place in places(FULL) if place]


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    """The full request with one to three things changed, removed or added."""
    body = json.loads(json.dumps(FULL))
    for _ in range(draw(st.integers(1, 3))):
        target: Any = body
        *way, last = draw(st.sampled_from(PLACES))
        value = copy.deepcopy(draw(LIKELY))
        kind = draw(st.sampled_from(["change", "remove", "add"]))
        try:
            for step in way:
                target = target[step]
            if kind == "change":
                target[last] = value
            elif kind == "remove":
                del target[last]
            elif isinstance(target[last], list):
                target[last].append(value)
            else:
                target[last][draw(KEYS)] = value
        except (LookupError, TypeError):
            pass  # An earlier change took the place away.
    return body


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_refusal(body: bytes):
    try_read(body)


@settings(deadline=None)
@given(JSON)
def test_any_json_is_a_request_or_a_refusal(value: Any):
    try_read(msgspec.json.encode(value))


@settings(deadline=None)
@given(st.dictionaries(KEYS, LIKELY))
def test_any_object_of_known_keys_is_a_request_or_a_refusal(value: dict[str, Any]):
    try_read(msgspec.json.encode(OK | value))


@settings(max_examples=300, deadline=None)
@given(mutants())
@example(FULL)
def test_the_typed_and_the_untyped_reading_agree(body: dict[str, Any]):
    """Whatever the decoder's types refuse the table of fields refuses, and nothing more."""
    data = msgspec.json.encode(body)
    outcome = try_read(data)
    by_types = by_table = True
    try:
        msgspec.json.decode(data, type=ChatRequest)
    except msgspec.ValidationError:
        by_types = False
    try:
        check_fields(json.loads(data))
    except ApiError:
        by_table = False
    if isinstance(outcome, ChatRequest):
        assert by_types
        assert by_table
    else:
        assert "not shaped like" not in str(outcome)
    if not by_types:
        assert not by_table


@settings(max_examples=200, deadline=None)
@given(mutants())
def test_what_is_accepted_can_be_encoded_again_and_reads_the_same(body: dict[str, Any]):
    outcome = try_read(msgspec.json.encode(body))
    if isinstance(outcome, ChatRequest):
        assert read(msgspec.json.encode(outcome)) == outcome
