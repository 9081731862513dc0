"""The schema of people: how they sign in, what they were sent, and what they ask for.

Nothing here lets anybody in who reads it: passwords are argon2id hashes, sessions, links and
recovery codes are digests of random texts, second factors are encrypted with a key made of the
pepper.
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


# How an account signs in. An account without a row cannot; the first run's has none until the
# set-up link claims it.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    _maybe_text("password"),  # argon2id, with its own salt and parameters
    _number("password_at_us"),
    _maybe_number("email_verified_at_us"),
    _number("is_operator"),  # 1: runs the hall, and sees all of it
    _maybe_number("suspended_at_us"),
    _maybe_text("terms_version"),
    _maybe_number("terms_at_us"),
    Column("totp", LargeBinary, nullable=True),  # encrypted
    _maybe_number("totp_at_us"),  # when it was confirmed; without, it is not asked for
    _number("totp_step"),  # the last step that was used: each is good once
    _maybe_text("recovery_codes"),  # JSON: digests of those that are left
    _maybe_number("last_seen_us"),
    _text("preferences"),  # JSON
    CheckConstraint("is_operator IN (0, 1)", name="is_operator"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of what the cookie holds
    _text("id"),  # public: to list and end it
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    _maybe_text("organization_id"),  # the one that is looked at
    _number("is_pending"),  # 1: the password was right, the second factor is still to come
    _number("created_at_us"),
    _number("seen_at_us"),
    _number("ends_at_us"),
    _text("ip"),
    _text("user_agent"),
    CheckConstraint("length(digest) = 32", name="digest"),
    Index(None, "account_id"),
    Index(None, "ends_at_us"),
)

links = Table(
    "links",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of what the link holds
    _text("id"),
    _text("kind"),
    _maybe_text("account_id"),
    _maybe_text("organization_id"),
    _maybe_text("email"),
    _maybe_text("role"),
    _maybe_text("facts"),  # JSON: what else its kind needs
    _text("made_by"),
    _number("created_at_us"),
    _number("ends_at_us"),
    _maybe_number("used_at_us"),
    CheckConstraint("kind IN ('set-up', 'invite', 'reset', 'verify')", name="kind"),
    CheckConstraint("length(digest) = 32", name="digest"),
    Index(None, "organization_id"),
    Index(None, "account_id"),
)

# Failed sign-ins, by whatever is throttled: an account, a network, everybody.
failures = Table(
    "failures",
    metadata,
    Column("subject", Text, primary_key=True),
    _number("since_us"),
    _number("count"),
    _number("last_at_us"),
    Index(None, "last_at_us"),
)

# Holders who ask for higher limits, and what became of it.
asks = Table(
    "asks",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    Column("organization_id", Text, ForeignKey("organizations.id"), nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    _maybe_text("key_id"),
    _text("wanted"),  # JSON: limits
    _text("why"),
    _text("state"),
    _number("asked_at_us"),
    _maybe_text("answered_by"),
    _maybe_text("answer"),
    _maybe_number("answered_at_us"),
    CheckConstraint("state IN ('open', 'granted', 'declined')", name="state"),
    Index(None, "organization_id"),
    sqlite_autoincrement=True,
)
