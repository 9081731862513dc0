"""The schema of kept conversations. No column of these tables holds a word that anybody said.

`sealed` is ciphertext under the organization's key `content_key`; that key's row has it wrapped,
under a key derived from the pepper whose mark stands beside it. Without its row in `content_keys`
all that refers to it is noise.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from keyhall.stores.tables import metadata

_RUNNING = BigInteger().with_variant(Integer, "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


content_keys = Table(
    "content_keys",
    metadata,
    Column("number", _RUNNING, primary_key=True, autoincrement=True),
    Column("organization_id", Text, nullable=False, unique=True),
    Column("wrapped", LargeBinary, nullable=False),
    _text("pepper"),  # which pepper wraps it: its mark
    _number("created_at_us"),
    sqlite_autoincrement=True,  # A number is never used again: nothing opens under another's key.
)

content = Table(
    "content",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    *(_text(name) for name in ("organization_id", "project_id", "key_id", "account_id", "version")),
    *(_number(name) for name in ("created_at_us", "keep_until_us", "held_until_us")),
    _number("content_key"),
    Column("sealed", LargeBinary, nullable=False),
    Index(None, "organization_id", "created_at_us"),
    Index(None, "account_id"),
    Index(None, "key_id"),
    Index(None, "keep_until_us"),
)
