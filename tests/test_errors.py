"""The error table: every row can be said, is found in the documentation, and is an exception."""

import re
import string
from pathlib import Path

import openai
import pytest

from keyhall import errors
from keyhall.errors import ApiError, Problem

SECTIONS = re.compile(r"^### (.+)$", re.MULTILINE)
DOCS = Path(errors.__file__).parent / "docs" / "errors.md"
ROWS = list(errors.TABLE.values())
MACHINE_WORD = re.compile(r"[a-z][a-z0-9_]*")

# What the official client raises where it has no class of its own for a status.
CLASS_OF_STATUS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
    504: openai.InternalServerError,
}

each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def facts_of(row: Problem) -> dict[str, str]:
    """One made-up fact for each place in the row's sentence."""
    places = {place for _, place, _, _ in string.Formatter().parse(row.message) if place}
    return {place: f"<{place}>" for place in places}


def test_rows_are_the_constants_of_the_module() -> None:
    """Code names a row by its constant; documentation and log by its name: they must agree."""
    constants = {
        name.lower(): value for name, value in vars(errors).items() if isinstance(value, Problem)
    }
    assert constants == errors.TABLE


def test_no_two_rows_have_a_name_or_a_sentence_in_common() -> None:
    """A caller who sees a sentence must be able to find the one section about it."""
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len({row.message for row in ROWS}) == len(ROWS)


def test_a_second_row_of_the_same_name_is_refused() -> None:
    with pytest.raises(AssertionError, match="internal"):
        errors._row("internal", 500, "server_error", None, "Again.", "No.", "InternalServerError")
    assert errors.TABLE["internal"] is errors.INTERNAL


@each_row
def test_names_and_codes_are_words_that_programs_can_compare(row: Problem) -> None:
    assert MACHINE_WORD.fullmatch(row.name)
    assert row.code is None or MACHINE_WORD.fullmatch(row.code)
    assert MACHINE_WORD.fullmatch(row.type)


def test_a_code_means_one_status_unless_openai_uses_it_for_two() -> None:
    """Programs decide by the code. OpenAI's API says `model_not_found` with 403 and 404."""
    statuses: dict[str, set[int]] = {}
    for row in ROWS:
        if row.code is not None:
            statuses.setdefault(row.code, set()).add(row.status)
    assert {code: found for code, found in statuses.items() if len(found) > 1} == {
        "model_not_found": {403, 404}
    }


@each_row
def test_a_row_says_its_sentence_with_the_facts_of_a_request(row: Problem) -> None:
    said = str(ApiError(row, **facts_of(row)))
    assert all(fact in said for fact in facts_of(row).values())
    assert not re.search(r"[{}]", said)


@pytest.mark.parametrize("row", [row for row in ROWS if facts_of(row)], ids=lambda row: row.name)
def test_a_row_cannot_be_raised_without_its_facts(row: Problem) -> None:
    """A forgotten fact fails where it was forgotten; a caller never reads `{limit}`."""
    with pytest.raises(KeyError):
        ApiError(row)


@each_row
def test_the_body_is_openais_envelope(row: Problem) -> None:
    """Message, type, param and code are always there, whatever they are."""
    error = ApiError(row, **facts_of(row))
    assert error.body() == {
        "error": {"message": str(error), "type": row.type, "param": row.param, "code": row.code}
    }
    assert list(error.body()["error"]) == ["message", "type", "param", "code"]


def test_a_refusal_names_the_parameter_that_it_is_about() -> None:
    """The row's parameter stands unless the request's is known better."""
    facts = facts_of(errors.CONTEXT_LENGTH)
    assert ApiError(errors.CONTEXT_LENGTH, **facts).body()["error"]["param"] == "messages"
    other = ApiError(errors.CONTEXT_LENGTH, param="messages.[0].content", **facts)
    assert other.body()["error"]["param"] == "messages.[0].content"


def test_what_a_caller_sent_is_never_read_as_a_place() -> None:
    """Braces in a model's name are the caller's, not ours."""
    error = ApiError(errors.MODEL_UNKNOWN, model="{0.__class__} {model}")
    assert "`{0.__class__} {model}`" in str(error)


def test_headers_belong_to_one_refusal() -> None:
    wait = ((b"retry-after-ms", b"1200"),)
    assert ApiError(errors.SHUTTING_DOWN, headers=wait).headers == wait
    assert ApiError(errors.SHUTTING_DOWN).headers == ()


@each_row
def test_the_row_tells_what_the_official_client_raises(row: Problem) -> None:
    """`client_raises` is printed in the documentation: it must be the class of that status."""
    raised = getattr(openai, row.client_raises)
    assert raised is CLASS_OF_STATUS.get(row.status, openai.APIStatusError)


@each_row
def test_advice_is_a_sentence(row: Problem) -> None:
    """Someone reads it while something is broken: what to do, not only what is wrong."""
    assert row.advice[0].isupper() or row.advice[0] == "`"
    assert row.advice.endswith(".")
    assert "{" not in row.advice.replace('{"', "")


@each_row
def test_a_retry_is_never_advised_where_only_a_change_helps(row: Problem) -> None:
    """Clients obey `x-should-retry`: `true` on a 400 or 401 would make them ask for ever."""
    if row.retry:
        assert row.status in (429, 503)


def test_every_row_has_a_section_and_every_section_a_row() -> None:
    rows, _, _ = DOCS.read_text(encoding="utf-8").partition("\n## By code\n")
    sections = SECTIONS.findall(rows)
    assert sorted(sections) == sorted(errors.TABLE)
