"""The schema of feedback and reviews: numbers, states and names of ours.

No column holds a word that anybody said: what callers and reviewers write is kept where
conversations are, encrypted. `webhook_calls` holds what is told of decisions, which is no content
either.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from keyhall.stores.tables import metadata

_RUNNING = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _maybe_text(name: str) -> Column[str | None]:
    return Column(name, Text, nullable=True)


def _maybe_number(name: str) -> Column[int | None]:
    return Column(name, BigInteger, nullable=True)


# The latest of a request counts; what it replaced stays, without its words.
feedback = Table(
    "feedback",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    *(_text(name) for name in ("request_id", "organization_id", "project_id", "key_id", "version")),
    _maybe_text("thumb"),
    _maybe_number("score"),
    _maybe_text("category"),
    _number("has_correction"),
    _number("has_comment"),
    Column("digest", LargeBinary, nullable=False),  # keyed, of all that was said: the same again?
    _number("at_us"),
    _maybe_number("replaced_at_us"),
    CheckConstraint("thumb IN ('up', 'down')", name="thumb"),
    CheckConstraint("score >= 1 AND score <= 5", name="score"),
    Index(None, "request_id"),
    Index(None, "organization_id", "at_us"),
    Index(None, "version"),
    sqlite_autoincrement=True,
)

review_items = Table(
    "review_items",
    metadata,
    Column("request_id", Text, primary_key=True),
    *(_text(name) for name in ("organization_id", "project_id", "key_id", "account_id", "version")),
    _text("reasons"),  # JSON
    _text("flags"),  # JSON: the filter's rules that hit
    _number("is_held"),  # 1: its caller has no answer before the decision
    _number("urgency"),
    _number("people"),  # these two are the project's rules when it entered
    _text("at_deadline"),
    _text("state"),
    _number("entered_at_us"),
    _number("deadline_us"),
    _maybe_text("claimed_by"),
    _number("claimed_until_us"),
    _maybe_number("decided_at_us"),
    _maybe_text("outcome"),
    _maybe_number("delivered_at_us"),  # when its caller fetched it
    CheckConstraint("outcome IN ('released', 'edited', 'refused')", name="outcome"),
    Index(None, "organization_id", "state"),
    Index(None, "organization_id", "entered_at_us"),
    Index(None, "state", "deadline_us"),
    Index(None, "version"),
)

# What a person thinks of an item; who took it back has `undone_at_us`.
reviews = Table(
    "reviews",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    Column("request_id", Text, ForeignKey("review_items.request_id"), nullable=False),
    _text("who"),  # as in the audit's `who`
    _text("made_in"),  # the state of the item
    _text("decision"),
    _number("score"),
    Column("text_digest", LargeBinary, nullable=False),
    _number("has_note"),
    _number("claimed_at_us"),  # how long it took
    _number("at_us"),
    _maybe_number("undone_at_us"),
    CheckConstraint("decision IN ('release', 'edit', 'refuse')", name="decision"),
    CheckConstraint("score >= 1 AND score <= 5", name="score"),
    Index(None, "request_id"),
    Index(None, "at_us"),
    sqlite_autoincrement=True,
)

webhook_calls = Table(
    "webhook_calls",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    _text("project_id"),
    _text("request_id"),
    _text("body"),  # JSON, as it is sent
    _number("at_us"),
    _maybe_number("told_at_us"),
    _number("attempts"),
    _number("next_try_us"),
    _maybe_text("trouble"),
    Index(None, "project_id"),
    Index(None, "request_id"),
    Index(None, "told_at_us", "next_try_us"),
    sqlite_autoincrement=True,
)
