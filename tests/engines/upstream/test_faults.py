"""What an upstream's failures become, and what of its words reaches a caller (I-16, attack 7)."""

import json

import pytest

from keyhall import errors
from keyhall.engines.upstream import faults
from keyhall.engines.upstream.faults import WORDS_MAX, Cleaner
from keyhall.wire.chat_answer import UpstreamError

KEY = "sk-proj-1234567890abcdefSECRET"
CLEANER = Cleaner(KEY, "engine.internal.example")


def _body(message="no", **more):
    return json.dumps({"error": {"message": message, **more}}).encode()


# --- Statuses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "row"),
    [
        (400, _body("max_tokens is too large"), errors.ENGINE_REJECTED),
        (413, _body("too large"), errors.ENGINE_REJECTED),
        (422, b'{"detail":[{"loc":["body"],"msg":"field required"}]}', errors.ENGINE_REJECTED),
        (400, b'{"object":"error","message":"bad temperature"}', errors.ENGINE_REJECTED),
        (400, b'{"detail":"bad temperature"}', errors.ENGINE_REJECTED),
        (400, b'{"error":"bad temperature"}', errors.ENGINE_REJECTED),
        (400, b"<html>400 Bad Request</html>", errors.ENGINE_FAILED),
        (400, b"", errors.ENGINE_FAILED),
        (400, b"[]", errors.ENGINE_FAILED),
        (400, b'{"error":[1]}', errors.ENGINE_FAILED),
        (400, b'{"error":{"message":7}}', errors.ENGINE_FAILED),
        (400, b'{"error":{"message":"  "}}', errors.ENGINE_FAILED),
        (400, b"\xff\xfe", errors.ENGINE_FAILED),
        (400, b"[" * 100_000, errors.ENGINE_FAILED),
        (401, _body(), errors.ENGINE_FAILED),
        (402, _body(), errors.ENGINE_FAILED),
        (403, _body(), errors.ENGINE_FAILED),
        (404, _body(), errors.ENGINE_FAILED),
        (408, b"", errors.ENGINE_BUSY),
        (429, _body(), errors.ENGINE_BUSY),
        (429, _body(code="insufficient_quota"), errors.ENGINE_FAILED),
        (503, b"<html>", errors.ENGINE_BUSY),
        (529, b"", errors.ENGINE_BUSY),
        (500, _body(), errors.ENGINE_FAILED),
        (502, b"", errors.ENGINE_FAILED),
        (504, b"", errors.ENGINE_FAILED),
        (301, b"", errors.ENGINE_FAILED),
        (307, b"", errors.ENGINE_FAILED),
        (204, b"", errors.ENGINE_FAILED),
        (418, b"", errors.ENGINE_FAILED),
        (999, b"", errors.ENGINE_FAILED),
    ],
)
def test_each_status_becomes_one_row(status, body, row):
    assert faults.from_status(status, {}, body, CLEANER).problem is row


def test_a_refusal_keeps_the_engines_reason():
    error = faults.from_status(400, {}, _body("temperature must be <= 1"), CLEANER)
    assert str(error).endswith(": temperature must be <= 1")


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503, 301])
def test_i16_words_of_the_engine_pass_only_with_a_refusal_of_the_request(status):
    error = faults.from_status(status, {}, _body("these words"), CLEANER)
    assert "these words" not in str(error)


@pytest.mark.parametrize(
    "body",
    [
        _body("model not found", type="invalid_request_error", code=400),
        _body("What?", param="model"),
        _body("What?", code="model_not_found"),
        _body("The model `house` does not exist."),
        b'{"error":"No models loaded. Please load one."}',
        b'{"object":"error","message":"Model is unloaded.","code":400}',
    ],
)
def test_a_model_that_the_engine_lacks_is_never_the_callers_fault(body):
    """Its name stands in the version's record; so somebody else may answer instead."""
    assert faults.from_status(400, {}, body, CLEANER).problem is errors.ENGINE_FAILED


def test_what_the_model_cannot_do_is_for_the_caller_to_change():
    body = _body("This model does not support tools. File not found in the prompt.")
    assert faults.from_status(400, {}, body, CLEANER).problem is errors.ENGINE_REJECTED


@pytest.mark.parametrize(
    ("headers", "seconds", "milliseconds"),
    [
        ({}, b"2", b"2000"),
        ({b"retry-after": b"7"}, b"7", b"7000"),
        ({b"retry-after": b"0.2"}, b"1", b"1000"),
        ({b"retry-after": b"1.25"}, b"2", b"1250"),
        ({b"retry-after": b"86400"}, b"120", b"120000"),
        ({b"retry-after-ms": b"1500", b"retry-after": b"9"}, b"2", b"1500"),
        ({b"retry-after": b"-5"}, b"2", b"2000"),
        ({b"retry-after": b"nan"}, b"2", b"2000"),
        ({b"retry-after": b"1e999"}, b"2", b"2000"),
        ({b"retry-after": b"1" * 40}, b"2", b"2000"),
        ({b"retry-after": b"soon"}, b"2", b"2000"),
        ({b"retry-after": b"\xff\r\nx"}, b"2", b"2000"),
        ({b"retry-after": b"Sun, 06 Nov 1994 08:49:47 GMT"}, b"2", b"2000"),
        (
            {
                b"retry-after": b"Sun, 06 Nov 1994 08:49:47 GMT",
                b"date": b"Sun, 06 Nov 1994 08:49:37 GMT",
            },
            b"10",
            b"10000",
        ),
    ],
)
def test_i16_the_time_to_wait_is_passed_on_between_1_and_120_seconds(
    headers, seconds, milliseconds
):
    """Clients stop retrying when they are told to wait for more than 120 s."""
    error = faults.from_status(429, headers, b"", CLEANER)
    assert dict(error.headers) == {b"retry-after": seconds, b"retry-after-ms": milliseconds}


def test_a_wait_that_is_no_number_is_replaced():
    assert dict(faults.busy("x", float("inf")).headers)[b"retry-after"] == b"2"


# --- Errors inside a 200 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "row"),
    [
        (UpstreamError("boom", "server_error"), errors.ENGINE_FAILED),
        (UpstreamError("slow down", code="rate_limit_exceeded"), errors.ENGINE_BUSY),
        (UpstreamError("slow down", code="429"), errors.ENGINE_BUSY),
        (UpstreamError("slow down", "overloaded_error"), errors.ENGINE_BUSY),
        (UpstreamError("no credit", code="insufficient_quota"), errors.ENGINE_FAILED),
        (UpstreamError("bad n", "invalid_request_error"), errors.ENGINE_REJECTED),
        (UpstreamError("  ", "invalid_request_error"), errors.ENGINE_FAILED),
        (UpstreamError("boom"), errors.ENGINE_FAILED),
        (UpstreamError("Not here", "invalid_request_error", param="model"), errors.ENGINE_FAILED),
        (UpstreamError("model not found", code="400"), errors.ENGINE_FAILED),
    ],
)
def test_an_error_in_place_of_an_answer_is_read(error, row):
    assert faults.from_error(error, CLEANER).problem is row


def test_attack_7_an_error_in_place_of_an_answer_is_cleaned_too():
    error = UpstreamError(f"bad key {KEY}", "invalid_request_error")
    assert "123456" not in str(faults.from_error(error, CLEANER))


# --- Words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        (f"Incorrect API key provided: {KEY}.", KEY),
        ("Incorrect API key provided: sk-proj-******************cdef.", "cdef"),
        (f"got header 'Authorization: Bearer {KEY}'", "1234567890"),
        ("Authorization: Bearer abc.def.ghi", "abc.def.ghi"),
        ("authorization=basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("api_key=verysecretvalue is wrong", "verysecretvalue"),
        ("token hf_abcdefghijklmnop", "abcdefghijklmnop"),
        ("key AIzaSyA1234567890abcdefg", "SyA1234567890"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln", "eyJhbGci"),
        ("digest 0123456789abcdef0123456789abcdef", "0123456789abcdef"),
        ("see https://engine.internal.example:8000/v1/x?k=1 for more", "8000/v1"),
        ("cannot reach engine.internal.example:8000", "engine.internal"),
        ("cannot reach ENGINE.internal.example", "internal"),
        ("connect to 10.1.2.3:8000 failed", "10.1.2.3"),
        ("connect to [fd12::1]:8000 failed", "fd12"),
        ("postgres://user:pw@db/x", "pw@db"),
    ],
)
def test_attack_7_keys_and_addresses_never_pass(words, hidden):
    assert hidden not in CLEANER.clean(words)
    assert hidden not in str(faults.from_status(400, {}, _body(words), CLEANER))


def test_a_key_cut_by_the_length_limit_does_not_pass_either():
    secret = "Z9y8X7w6V5u4T3s2"
    cleaner = Cleaner(secret)
    for filler in range(4_050, 4_100):
        words = "https://x/" + "a" * (filler - 20) + " b c d e f " + secret
        assert secret[:6] not in cleaner.clean(words)


def test_control_characters_and_direction_marks_become_spaces():
    cleaned = CLEANER.clean("a\r\nb\x00c\x1b[31md\u202ee\u200bf  g")
    assert cleaned == "a b c [31md e f g"


def test_words_are_cut_at_300_characters():
    cleaned = CLEANER.clean("word " * 10_000)
    assert len(cleaned) == WORDS_MAX
    assert cleaned.endswith("…")


def test_ordinary_words_pass_unchanged():
    words = (
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
        "(meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8, temperature 0.7)."
    )
    assert CLEANER.clean(words) == words
    assert Cleaner().clean(words) == words
