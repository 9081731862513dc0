"""What refusals repeat of a caller's values, and how deep JSON is."""

import pytest

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.wire.checks import shapes


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], ""),
        (["a"], "'a'"),
        (["a", "b"], "'a' and 'b'"),
        (["a", "b", "c"], "'a', 'b', and 'c'"),
        ([str(i) for i in range(17)], ", ".join(f"'{i}'" for i in range(15)) + ", and 2 more"),
    ],
)
def test_a_list_of_values_reads_as_the_real_api_writes_it(values: list[str], text: str):
    assert shapes.listed(values) == text


def test_a_callers_value_is_never_repeated_beyond_64_characters():
    """I-13: a refusal must not carry a prompt that was put into the wrong field."""
    assert shapes.shown("x" * 64) == "x" * 64
    assert shapes.shown("x" * 65) == "x" * 63 + "…"
    assert shapes.shown(12) == "12"


def nested(levels: int) -> object:
    value: object = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value, "b": 2}
    return value


@pytest.mark.parametrize("levels", [1, 2, 63, 64, 65, 500])
def test_depth_is_exact_at_the_bound(levels: int):
    assert shapes.is_deeper_than(nested(levels), 64) is (levels > 64)
    assert shapes.is_deeper_than(nested(levels), levels) is False
    assert shapes.is_deeper_than(nested(levels), levels - 1) is True


def test_an_empty_container_counts_as_a_level():
    assert shapes.is_deeper_than([[]], 1)
    assert not shapes.is_deeper_than([[]], 2)


def test_a_shape_without_rules_takes_anything():
    shape = shapes.Shape()
    shape.find_unknown({"a": 1}, "x")
    shape.check({"a": 1}, "x")


def test_a_refusal_names_its_path_in_param_and_sentence():
    with pytest.raises(ApiError, match=r"Missing required parameter: 'a\[0\]\.b'\.") as raised:
        shapes.refuse(errors.MISSING_PARAMETER, "a[0].b")
    assert raised.value.param == "a[0].b"
