"""The sections of the settings, and the sentence that each setting carries."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of the settings file."""


class Server(Section, frozen=True):
    """Where Keyhall listens and how it is reached."""

    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port to listen on; 0 takes a free one.")] = 8484
    url: Annotated[
        str, Meta(description="Address that people use, for messages; empty: made from the above.")
    ] = ""
    tls_cert: Annotated[str, Meta(description="PEM file of the certificate chain.")] = ""
    tls_key: Annotated[str, Meta(description="PEM file of the certificate's key.")] = ""
    trusted_proxies: Annotated[
        list[str],
        Meta(description="Addresses or networks of proxies whose X-Forwarded-For is believed."),
    ] = msgspec.field(default_factory=list)
    workers: Annotated[
        int,
        Meta(ge=1, le=256, description="Processes that serve; several need PostgreSQL and Redis."),
    ] = 1
    body_bytes_max: Annotated[
        Positive, Meta(description="Largest request body; larger ones get 413.")
    ] = 10 * 1024 * 1024
    grace_seconds: Annotated[
        int, Meta(ge=0, le=86_400, description="How long running answers may go on after SIGTERM.")
    ] = 30
    drain_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400,
            description="How long an answer may go on whose client has left, if "
            "its version drains.",
        ),
    ] = 600


class Log(Section, frozen=True):
    """What is written to standard error, as JSON or for people. Never text of a conversation."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least serious level.")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="`auto` is for people on a terminal and JSON elsewhere."),
    ] = "auto"
    requests: Annotated[
        Literal["none", "errors", "all"],
        Meta(
            description="Requests that leave a line; `errors`: 401, 403 and from 500 on. Every "
            "admitted one is in the ledger."
        ),
    ] = "errors"


class Sandbox(Section, frozen=True):
    """The embedded engine that is no AI."""

    tokens_per_second: Annotated[
        int, Meta(ge=0, description="Pace of its streams; 0 sends everything at once.")
    ] = 50


class Models(Section, frozen=True):
    """Models that this machine runs itself."""

    house: Annotated[
        bool,
        Meta(
            description="The small model that comes with Keyhall and answers about Keyhall only; "
            "behind `v1` if there is no other."
        ),
    ] = True


class Upstream(Section, frozen=True):
    """Deadlines towards upstream engines, in seconds, and the engine from the environment."""

    connect_seconds: Annotated[Seconds, Meta(description="To connect, with TLS.")] = 5.0
    first_byte_seconds: Annotated[Seconds, Meta(description="To an answer's first byte.")] = 600.0
    idle_seconds: Annotated[Seconds, Meta(description="Between two pieces of an answer.")] = 120.0
    connections_max: Annotated[Positive, Meta(description="Open connections per engine.")] = 1024
    base_url: Annotated[
        str, Meta(description="Engine from the environment; `OPENAI_BASE_URL` if empty.")
    ] = ""
    api_key: Annotated[
        str, Meta(description="Its key, best written `${NAME}`; `OPENAI_API_KEY` if empty.")
    ] = ""
    model: Annotated[
        str, Meta(description="The upstream model behind `v1`; `KEYHALL_UPSTREAM_MODEL` too.")
    ] = ""

    def __repr__(self) -> str:
        return f"Upstream(base_url={self.base_url!r}, model={self.model!r}, ...)"


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


class Redis(Section, frozen=True):
    """Counters for many processes: Redis or Valkey, from version 6 on."""

    url: Annotated[str, Meta(description="`redis://`, `rediss://` or `unix://`; empty: none.")] = ""
    degraded: Annotated[
        Literal["share", "open"],
        Meta(description="While Redis is away: `share` passes no limit, `open` may do so once."),
    ] = "share"
    expected_processes: Annotated[Positive, Meta(description="Processes, at least.")] = 1
    # Below, one late wake-up of a busy machine makes a process count alone; above, callers notice.
    reply_seconds: Annotated[
        float,
        Meta(ge=0.02, le=1.0, description="So long a request waits for Redis; then it is away."),
    ] = 0.05

    def __repr__(self) -> str:
        return f"Redis(degraded={self.degraded!r}, ...)"
