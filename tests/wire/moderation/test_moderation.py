"""`POST /v1/moderations`: what is read, what is refused, what is answered."""

import msgspec
import pytest

from keyhall.errors import ApiError
from keyhall.policy.filters.rules import CATEGORIES
from keyhall.wire.moderation import read, write


def asked(**body):
    return read.read(msgspec.json.encode(body))


def test_a_text_a_list_of_texts_and_the_parts_of_a_message_are_read():
    assert asked(input="a").texts == ("a",)
    assert asked(input=["a", "b"]).texts == ("a", "b")
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert asked(input=parts).texts == ("a\nb",), "one message, one result"


@pytest.mark.parametrize(
    "model", ["omni-moderation-latest", "text-moderation-stable", "keyhall-rules", None]
)
def test_the_names_of_openais_models_are_understood(model):
    assert asked(input="a", model=model).texts == ("a",)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "input"),
        ({"input": None}, "missing_required_parameter", "input"),
        ({"input": 7}, "invalid_type", "input"),
        ({"input": {}}, "invalid_type", "input"),
        ({"input": []}, "empty_array", "input"),
        ({"input": ["a"] * 1025}, "array_above_max_length", "input"),
        ({"input": ["a", 7]}, "invalid_type", "input[1]"),
        ({"input": [7, "a"]}, "invalid_type", "input[0]"),
        ({"input": [{"type": "audio"}]}, "invalid_value", "input[0].type"),
        ({"input": [{"type": "text"}]}, "invalid_type", "input[0].text"),
        ({"input": [{"type": "image_url", "image_url": {"url": "x"}}]}, "unsupported_value",
         "input[0]"),
        ({"input": "a" * (1024 * 1024 + 1)}, "string_above_max_length", "input"),
        ({"input": "a", "model": 1}, "invalid_type", "model"),
        ({"input": "a", "model": "gpt-4"}, "model_not_found", "model"),
        ({"input": "a", "user": "b"}, "unknown_parameter", "user"),
    ],
)  # fmt: skip
def test_what_cannot_be_looked_at_is_refused_with_the_place(body, code, param):
    with pytest.raises(ApiError) as caught:
        asked(**body)
    assert (caught.value.problem.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"a"', b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused_without_repeating_it(body):
    with pytest.raises(ApiError) as caught:
        read.read(body)
    assert caught.value.problem.status == 400
    assert caught.value.__context__ is None


def test_an_answer_has_openais_form_with_every_category_in_its_three_objects():
    answer = msgspec.json.decode(write.encode("abc", [{"violence", "secrets"}, set()]))
    assert (answer["id"], answer["model"]) == ("modr-abc", "keyhall-rules")
    hit, clean = answer["results"]
    for result in (hit, clean):
        for name in ("categories", "category_scores", "category_applied_input_types"):
            assert set(result[name]) == set(CATEGORIES)
    assert hit["flagged"] is True
    assert clean["flagged"] is False
    assert [name for name, is_hit in hit["categories"].items() if is_hit] == ["violence"]
    assert hit["category_scores"]["violence"] == 1.0
    assert sum(hit["category_scores"].values()) == 1.0
    assert all(types == ["text"] for types in hit["category_applied_input_types"].values())


def test_a_secret_alone_is_none_of_the_categories():
    (result,) = msgspec.json.decode(write.encode("abc", [{"secrets"}]))["results"]
    assert result["flagged"] is False
