"""Feedback, answers that people look at, and decisions that are told.

Only adds: a release that knows the schema before reads and writes beside it, and nothing of its
answers is reviewed.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_RUNNING = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _running() -> sa.Column[int]:
    return sa.Column("number", _RUNNING, autoincrement=True, nullable=False)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def _maybe(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=True) for name in names]


def _indexed(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def upgrade() -> None:
    op.add_column("projects", sa.Column("review", sa.Text(), nullable=True))
    op.create_table(
        "feedback",
        _running(),
        *_texts("request_id", "organization_id", "project_id", "key_id", "version"),
        *_maybe(sa.Text(), "thumb"),
        *_maybe(sa.BigInteger(), "score"),
        *_maybe(sa.Text(), "category"),
        *_numbers("has_correction", "has_comment"),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        *_numbers("at_us"),
        *_maybe(sa.BigInteger(), "replaced_at_us"),
        sa.CheckConstraint("thumb IN ('up', 'down')", name=op.f("ck_feedback_thumb")),
        sa.CheckConstraint("score >= 1 AND score <= 5", name=op.f("ck_feedback_score")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_feedback")),
        sqlite_autoincrement=True,
    )
    _indexed("feedback", "request_id")
    _indexed("feedback", "organization_id", "at_us")
    _indexed("feedback", "version")
    _items()
    _reviews()
    _calls()


def _items() -> None:
    op.create_table(
        "review_items",
        *_texts("request_id", "organization_id", "project_id", "key_id", "account_id", "version"),
        *_texts("reasons", "flags"),
        *_numbers("is_held", "urgency", "people"),
        *_texts("at_deadline", "state"),
        *_numbers("entered_at_us", "deadline_us"),
        *_maybe(sa.Text(), "claimed_by"),
        *_numbers("claimed_until_us"),
        *_maybe(sa.BigInteger(), "decided_at_us"),
        *_maybe(sa.Text(), "outcome"),
        *_maybe(sa.BigInteger(), "delivered_at_us"),
        sa.CheckConstraint(
            "outcome IN ('released', 'edited', 'refused')", name=op.f("ck_review_items_outcome")
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_review_items")),
    )
    _indexed("review_items", "organization_id", "state")
    _indexed("review_items", "organization_id", "entered_at_us")
    _indexed("review_items", "state", "deadline_us")
    _indexed("review_items", "version")


def _reviews() -> None:
    op.create_table(
        "reviews",
        _running(),
        *_texts("request_id", "who", "made_in", "decision"),
        *_numbers("score"),
        sa.Column("text_digest", sa.LargeBinary(), nullable=False),
        *_numbers("has_note", "claimed_at_us", "at_us"),
        *_maybe(sa.BigInteger(), "undone_at_us"),
        sa.CheckConstraint(
            "decision IN ('release', 'edit', 'refuse')", name=op.f("ck_reviews_decision")
        ),
        sa.CheckConstraint("score >= 1 AND score <= 5", name=op.f("ck_reviews_score")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["review_items.request_id"], name=op.f("fk_reviews_request_id")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_reviews")),
        sqlite_autoincrement=True,
    )
    _indexed("reviews", "request_id")
    _indexed("reviews", "at_us")


def _calls() -> None:
    op.create_table(
        "webhook_calls",
        _running(),
        *_texts("project_id", "request_id", "body"),
        *_numbers("at_us"),
        *_maybe(sa.BigInteger(), "told_at_us"),
        *_numbers("attempts", "next_try_us"),
        *_maybe(sa.Text(), "trouble"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_webhook_calls")),
        sqlite_autoincrement=True,
    )
    _indexed("webhook_calls", "project_id")
    _indexed("webhook_calls", "request_id")
    _indexed("webhook_calls", "told_at_us", "next_try_us")
