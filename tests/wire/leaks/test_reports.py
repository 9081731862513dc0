"""Reports of leaked keys in their two forms: read with bounds, answered without a key's text."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.policy.keys import mint
from keyhall.wire.leaks import reports

KEY = mint("live", hashlib.shake_256(b"key").digest(128)).text.reveal()


def test_our_form_is_read() -> None:
    report = reports.read(json.dumps({"keys": [KEY], "url": "https://a.example"}).encode())
    assert (report.keys, report.url, report.source) == ([KEY], "https://a.example", None)


def test_githubs_form_is_read_whatever_else_it_says() -> None:
    (match,) = reports.read_github(
        json.dumps(
            [{"token": KEY, "type": "t", "url": "", "source": "content", "more": 1}]
        ).encode()
    )
    assert (match.token, match.type, match.url, match.source) == (KEY, "t", "", "content")


def test_the_answer_masks_keys_and_keeps_their_order() -> None:
    answer = json.loads(reports.encode([(KEY, "revoked"), ("x" * 500, "unknown")]))
    assert answer["object"] == "list"
    assert [each["state"] for each in answer["data"]] == ["revoked", "unknown"]
    assert KEY not in answer["data"][0]["key"]
    assert answer["data"][0]["key"].endswith(KEY[-4:])
    assert len(answer["data"][1]["key"]) < 100


def test_github_is_answered_with_hashes_of_what_it_sent() -> None:
    matches = reports.read_github(
        json.dumps([{"token": each, "type": "t"} for each in (KEY, "é")]).encode()
    )
    answer = json.loads(reports.encode_github(matches, frozenset({KEY})))
    assert answer == [
        {
            "token_hash": hashlib.sha256(each.encode()).hexdigest(),
            "token_type": "t",
            "label": label,
        }
        for each, label in ((KEY, "true_positive"), ("é", "false_positive"))
    ]


@pytest.mark.parametrize("read", [reports.read, reports.read_github])
@given(data=st.binary(max_size=200))
def test_any_other_bytes_are_refused_and_not_repeated(read, data) -> None:
    with pytest.raises(ApiError) as refused:
        read(data)
    assert refused.value.problem is errors.LEAK_REPORT_UNREADABLE
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


def test_what_a_refusal_says_names_no_field_of_theirs() -> None:
    with pytest.raises(ApiError, match="keys, url and source are known") as refused:
        reports.read(b'{"keys": ["a"], "hunter2": 1}')
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        [{"token": "a"}],
        [{"token": 1, "type": "t"}],
        [],
        [{"token": "a", "type": "t"}] * 2_001,
        [{"token": "a" * 2_001, "type": "t"}],
    ],
)
def test_githubs_form_has_bounds(body) -> None:
    with pytest.raises(ApiError):
        reports.read_github(json.dumps(body).encode())
