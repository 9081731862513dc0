"""Sections of the settings that say where a hall of many machines keeps what it shares."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of the settings file."""


class Database(Section, frozen=True):
    """Where keys, versions and usage are kept for good."""

    url: Annotated[
        str,
        Meta(
            description="PostgreSQL to keep everything in, `postgresql://user:password@host/name`; "
            "empty: the SQLite file in the data folder."
        ),
    ] = ""

    def __repr__(self) -> str:
        return "Database(...)"


class Keys(Section, frozen=True):
    """What keys are digested with."""

    pepper: Annotated[
        str,
        Meta(
            description="Peppers, 64 hex digits each, newest first, with commas between them; "
            "empty: the file `pepper` in the data folder. Every machine needs the same."
        ),
    ] = ""

    def __repr__(self) -> str:
        return "Keys(...)"
