"""The body of feedback: what it may hold, and what is repeated of it."""

import json

import pytest

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.wire.review import feedback

ID = "chatcmpl-" + "0a" * 16


def read(**body):
    return feedback.read(json.dumps(body).encode())


def test_an_id_and_one_word_are_enough():
    given = read(completion_id=ID, thumb="up", score=None)
    assert (given.request_id, given.thumb, given.score) == ("0a" * 16, "up", None)
    assert read(completion_id=ID, comment="x" * feedback.COMMENT_CHARACTERS_MAX).comment


@pytest.mark.parametrize(
    ("body", "row", "param"),
    [
        ({"thumb": "up"}, errors.MISSING_PARAMETER, "completion_id"),
        ({"completion_id": ID}, errors.MISSING_PARAMETER, "thumb"),
        ({"completion_id": ID.upper(), "thumb": "up"}, errors.STRING_PATTERN, "completion_id"),
        ({"completion_id": ID, "score": 0}, errors.INTEGER_TOO_SMALL, "score"),
        ({"completion_id": ID, "score": 2.5}, errors.INVALID_TYPE, "score"),
        ({"completion_id": ID, "correction": ""}, errors.EMPTY_STRING, "correction"),
        ({"completion_id": ID, "comment": "\0"}, errors.STRING_PATTERN, "comment"),
        ({"completion_id": ID, "user": "x"}, errors.UNKNOWN_PARAMETER, "user"),
    ],
)
def test_what_is_wrong_is_named(body, row, param):
    with pytest.raises(ApiError) as refused:
        read(**body)
    assert (refused.value.problem, refused.value.param) == (row, param)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":' * 80])
def test_what_is_no_object_is_refused(body):
    with pytest.raises(ApiError) as refused:
        feedback.read(body)
    assert refused.value.problem.status == 400


def test_the_answer_names_everything_and_repeats_no_words():
    said = json.loads(feedback.encode(feedback.Taken("feedback-1", ID, 7, "v1-sandbox-1")))
    assert said == {
        "id": "feedback-1", "object": "keyhall.feedback", "completion_id": ID, "created": 7,
        "model": "v1-sandbox-1", "thumb": None, "score": None, "category": None,
        "has_correction": False, "has_comment": False, "replaces": 0,
    }  # fmt: skip
