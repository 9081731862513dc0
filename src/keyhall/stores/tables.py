"""The schema: every table that Keyhall keeps.

Ids are text with a prefix that says what they name. Times are microseconds since 1970, money is
micro- or nano-units (R18): whole numbers, never floats. A list is JSON text and never searched.
Limits of None mean none. The migrations build the same tables; a test compares the two.

Usage rows have a running `number`, which tells the roll-up how far it has come. Their
`request_id` is unique: a batch that is sent twice is stored once. Request ids should begin with
their time, so that the index grows at its end: random ones cost several times as much to insert.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite gives running numbers to a column of type INTEGER only.
_RUNNING = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _maybe_text(name: str) -> Column[str | None]:
    return Column(name, Text, nullable=True)


def _maybe_number(name: str) -> Column[int | None]:
    return Column(name, BigInteger, nullable=True)


def _running(name: str = "number") -> Column[int]:
    return Column(name, _RUNNING, primary_key=True, autoincrement=True)


def _limits() -> tuple[Column[int | None], ...]:
    return tuple(
        _maybe_number(name) for name in ("requests_per_minute", "tokens_per_minute", "in_flight")
    )


def _limits_checked() -> CheckConstraint:
    return CheckConstraint(
        "requests_per_minute >= 1 AND tokens_per_minute >= 1 AND in_flight >= 1",
        name="limits",  # A comparison with NULL is neither true nor false, and passes.
    )


accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    _text("name"),
    Column("email", Text, nullable=True, unique=True),
    _number("created_at_us"),
)

organizations = Table(
    "organizations",
    metadata,
    Column("id", Text, primary_key=True),
    _text("name"),
    _maybe_text("tier"),
    *_limits(),
    _maybe_number("billing_activated_at_us"),
    _maybe_number("suspended_at_us"),
    _number("created_at_us"),
    # Where its days and months begin: a name of the IANA database.
    Column("time_zone", Text, nullable=False, server_default="UTC"),
    _maybe_number("retention_days_max"),
    _limits_checked(),
)

members = Table(
    "members",
    metadata,
    Column("organization_id", Text, ForeignKey("organizations.id"), primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    _text("role"),
    _number("created_at_us"),
    CheckConstraint(
        "role IN ('owner', 'admin', 'member', 'reviewer', 'billing', 'reader')", name="role"
    ),
    Index(None, "account_id"),
)

projects = Table(
    "projects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, ForeignKey("organizations.id"), nullable=False),
    _text("name"),
    _maybe_text("models"),
    *_limits(),
    _number("created_at_us"),
    _maybe_text("review"),  # JSON: which answers people look at; None: none
    _maybe_number("retention_days"),
    _limits_checked(),
    Index(None, "organization_id", "name", unique=True),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project_id", Text, ForeignKey("projects.id"), nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    _text("name"),
    _text("mode"),
    Column("digest", LargeBinary, nullable=False, unique=True),
    _text("pepper"),  # which pepper made the digest: its mark
    _text("masked"),
    _text("lineage"),
    _maybe_text("rotated_from"),
    _text("tier"),
    _maybe_text("networks"),
    _maybe_text("endpoints"),
    _maybe_text("models"),
    *_limits(),
    _number("created_at_us"),
    _maybe_number("expires_at_us"),
    _maybe_number("paused_at_us"),
    _maybe_text("paused_by"),  # as in the audit's `who`
    _maybe_number("revoked_at_us"),
    _maybe_text("revoked_reason"),
    _maybe_number("last_used_at_us"),
    _maybe_number("retention_days"),
    _limits_checked(),
    CheckConstraint("mode IN ('live', 'test', 'admin')", name="mode"),
    CheckConstraint("length(digest) = 32", name="digest"),
    Index(None, "name"),
    Index(None, "project_id", "created_at_us"),
    Index(None, "account_id"),
    Index(None, "created_at_us"),
    # A key has one successor: two rotations at the same moment cannot both succeed.
    Index(None, "rotated_from", unique=True),
)

tiers = Table(
    "tiers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("from_age_us", BigInteger, primary_key=True),  # of the organization's billing
    *_limits(),
    _number("default_output"),
    _limits_checked(),
    CheckConstraint("from_age_us >= 0 AND default_output >= 1", name="amounts"),
)

engines = Table(
    "engines",
    metadata,
    Column("name", Text, primary_key=True),
    _text("url"),
    _maybe_text("key_env"),  # the name of an environment variable, never the key
    _number("created_at_us"),
    _maybe_number("drained_at_us"),  # since when it gets no new requests
)

# Files that the operator added: each is an engine of its own.
models = Table(
    "models",
    metadata,
    Column("name", Text, primary_key=True),
    _text("path"),
    _text("sha256"),  # 64 hex digits
    _number("size"),
    _text("architecture"),
    _number("parameters"),
    _number("context"),
    _number("has_template"),
    _number("slots"),
    _number("slot_context"),
    _maybe_number("threads"),
    _number("shares_prefixes"),
    _number("created_at_us"),
    CheckConstraint("length(sha256) = 64", name="sha256"),
    CheckConstraint(
        "size >= 1 AND parameters >= 0 AND context >= 0 AND slots >= 1 AND slot_context >= 1 "
        "AND threads >= 1",
        name="amounts",
    ),
    CheckConstraint("has_template IN (0, 1) AND shares_prefixes IN (0, 1)", name="flags"),
)

versions = Table(
    "versions",
    metadata,
    _running(),
    Column("name", Text, nullable=False, unique=True),
    _text("engine"),
    _text("engine_model"),
    _number("created_at_us"),
    Column("temperature", Float, nullable=True),
    Column("top_p", Float, nullable=True),
    Column("frequency_penalty", Float, nullable=True),
    Column("presence_penalty", Float, nullable=True),
    _number("max_input_tokens"),
    _number("max_output_tokens"),
    _text("tokenizer"),
    _text("count"),
    _number("margin_percent"),
    _number("margin_per_tool"),
    _text("status"),
    _maybe_number("deprecated_at_us"),
    _maybe_number("retires_at_us"),
    _maybe_text("replacement"),
    _text("owned_by"),
    _text("fingerprint"),
    Column("on_disconnect", Text, nullable=False, server_default="abort"),
    _maybe_text("sampling"),  # JSON: the settings that have no column of their own
    CheckConstraint("status IN ('active', 'deprecated', 'retired')", name="status"),
    CheckConstraint("count IN ('exact', 'estimated')", name="count"),
    CheckConstraint(
        "max_input_tokens >= 1 AND max_output_tokens >= 1 AND margin_percent >= 100 "
        "AND margin_per_tool >= 0",
        name="amounts",
    ),
    Index(None, "engine"),
    sqlite_autoincrement=True,
)

prices = Table(
    "prices",
    metadata,
    _running(),
    Column("version_number", _RUNNING, ForeignKey("versions.number"), nullable=False),
    _number("since_us"),
    _number("input"),
    _number("output"),
    CheckConstraint("input >= 0 AND output >= 0", name="amounts"),
    Index(None, "version_number"),
    sqlite_autoincrement=True,
)

aliases = Table(
    "aliases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, ForeignKey("versions.name"), nullable=False),
    _number("moved_at_us"),
    _maybe_text("fallbacks"),  # JSON: the versions that answer if that one's engine cannot
)

USAGE_AMOUNTS = ("input_tokens", "output_tokens", "held_tokens", "output_cap", "cost_nano")

usage = Table(
    "usage",
    metadata,
    _running(),
    Column("request_id", Text, nullable=False, unique=True),
    _text("key_id"),
    _text("project_id"),
    _text("organization_id"),
    _text("version"),
    _number("endpoint"),
    _number("is_test"),
    _number("is_stream"),
    _number("admitted_at_us"),
    _number("finished_at_us"),
    _number("first_byte_us"),
    *(_number(name) for name in USAGE_AMOUNTS),
    _number("outcome"),
    _number("usage_source"),
    _maybe_number("batch"),  # the transaction it came with; None for rows older than chains
    Column("on_disconnect", BigInteger, nullable=False, server_default="0"),
    CheckConstraint(" AND ".join(f"{name} >= 0" for name in USAGE_AMOUNTS), name="amounts"),
    Index(None, "admitted_at_us"),
    sqlite_autoincrement=True,
)

# The rows of one transaction, chained to the writer's batch before it (R24).
usage_batches = Table(
    "usage_batches",
    metadata,
    _running(),
    _text("writer"),  # one process's life
    _number("sequence"),  # from 1, without gaps
    _number("rows"),
    _number("at_us"),  # the latest end among its rows
    Column("previous", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    CheckConstraint("length(previous) = 32 AND length(digest) = 32", name="digests"),
    Index(None, "writer", "sequence", unique=True),
    sqlite_autoincrement=True,
)

# unanswered: requests whose answer did not reach its end; estimated: whose tokens nobody counted
# exactly.
USAGE_SUMS = (
    "requests",
    "input_tokens",
    "output_tokens",
    "cost_nano",
    "unanswered",
    "estimated",
)

usage_hourly = Table(
    "usage_hourly",
    metadata,
    Column("hour_us", BigInteger, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("project_id", Text, primary_key=True),
    Column("organization_id", Text, primary_key=True),
    Column("is_test", BigInteger, primary_key=True),
    *(_number(name) for name in USAGE_SUMS),
    Index(None, "organization_id", "hour_us"),
    Index(None, "key_id", "hour_us"),
)

# The same sums in other orders, for who looks at long times: of projects by the hour, of keys by
# the day (UTC). Each is rolled up behind a mark of its own.
project_hours = Table(
    "project_hours",
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("hour_us", BigInteger, primary_key=True),
    Column("project_id", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("is_test", BigInteger, primary_key=True),
    *(_number(name) for name in USAGE_SUMS),
    sqlite_with_rowid=False,
)

key_days = Table(
    "key_days",
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("day_us", BigInteger, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("project_id", Text, primary_key=True),
    Column("is_test", BigInteger, primary_key=True),
    *(_number(name) for name in USAGE_SUMS),
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    _running(),
    _number("at_us"),
    _text("who"),
    _text("origin"),
    _text("action"),
    _text("target"),
    _maybe_text("before"),
    _maybe_text("after"),
    Column("digest", LargeBinary, nullable=True),  # chained to the row before it (R24)
    _maybe_text("organization_id"),  # whose members may see it
    Index(None, "target"),
    Index(None, "action"),
    Index(None, "organization_id"),
    sqlite_autoincrement=True,
)

changes = Table(
    "changes",
    metadata,
    _running(),
    _text("kind"),
    _text("id"),
    sqlite_autoincrement=True,
)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    _text("value"),
)
