"""Versions and aliases: which immutable record answers for the name a caller sent (R8, R9, R19)."""

import hashlib
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

Status = Literal["active", "deprecated", "retired"]
Count = Literal["exact", "estimated"]
OnDisconnect = Literal["abort", "drain"]

ENGINE_COUNTS = "engine"  # in a tokenizer's place: the engine itself counts prompts


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-units of the currency per million tokens (R18)."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Sampling:
    """Defaults a version gives to a request that does not say. None: not sent to the engine."""

    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable model record. Times are microseconds since 1970."""

    number: int  # the store's row number, what the journal remembers
    name: str  # v1-sandbox-1; the answer's `model`
    engine: str  # a name of the engine table: sandbox, environment, ...
    engine_model: str  # what the engine calls the model
    created_at_us: int
    sampling: Sampling = Sampling()
    max_input_tokens: int = 4096
    max_output_tokens: int = 4096
    tokenizer: str = "o200k_base"
    count: Count = "exact"
    margin_percent: int = 125  # of an estimated count (R8)
    margin_per_tool: int = 32
    price: Price | None = None
    status: Status = "active"
    deprecated_at_us: int | None = None
    retires_at_us: int | None = None
    replacement: str | None = None
    owned_by: str = "keyhall"
    on_disconnect: OnDisconnect = "abort"  # what becomes of an answer whose client has left
    fingerprint: str = field(default="")

    def __post_init__(self) -> None:
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint(self))

    @property
    def drains(self) -> bool:
        """An answer whose client has left goes on to its end."""
        return self.on_disconnect == "drain"


def fingerprint(version: Version) -> str:
    """`fp_` + 10 hex digits over all that changes an answer; dates, prices and status do not."""
    facts: tuple[object, ...] = (
        version.name,
        version.engine,
        version.engine_model,
        version.sampling,
        version.max_input_tokens,
        version.max_output_tokens,
        version.tokenizer,
    )
    if version.on_disconnect != "abort":  # Records older than this choice keep their fingerprints.
        facts += (version.on_disconnect,)
    return "fp_" + hashlib.sha256(repr(facts).encode()).hexdigest()[:10]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All versions by name and all aliases, as one immutable value."""

    versions: Mapping[str, Version]
    aliases: Mapping[str, str]  # alias -> version name
    default: str = "v1"
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # alias -> versions

    def find(self, name: str) -> Version | None:
        """The record for a version's own name or an alias, whatever its status."""
        return self.versions.get(self.aliases.get(name, name))

    def instead(self, name: str) -> Iterator[Version]:
        """Who may answer, in this order, if the engine behind an alias cannot. A version's own
        name means that version alone."""
        for version in self.fallbacks.get(name, ()):
            yield self.versions[version]

    def tokenizers(self) -> set[str]:
        """The names of all that count for some version, but those whose engine counts."""
        return {version.tokenizer for version in self.versions.values()} - {ENGINE_COUNTS}


def status_at(version: Version, now_us: int) -> Status:
    """The status that holds at a time: a version whose day has come is retired by itself."""
    if version.retires_at_us is not None and version.retires_at_us <= now_us:
        return "retired"
    return version.status


def unserved(
    catalogue: Catalogue, engines: Container[str], now_us: int
) -> dict[str, list[Version]]:
    """The versions in use that no engine answers for, by the name of the engine they lack."""
    lacking: dict[str, list[Version]] = {}
    for version in catalogue.versions.values():
        if version.engine not in engines and status_at(version, now_us) != "retired":
            lacking.setdefault(version.engine, []).append(version)
    return lacking


def needing(catalogue: Catalogue, engine: str, now_us: int) -> list[Version]:
    """The versions in use that an engine answers for."""
    mine = [version for version in catalogue.versions.values() if version.engine == engine]
    return [version for version in mine if status_at(version, now_us) != "retired"]


def shutdown_date(version: Version) -> str | None:
    """The day on which a version stops answering, `2027-05-01` (UTC); None if none is set."""
    if version.retires_at_us is None:
        return None
    return datetime.fromtimestamp(version.retires_at_us / 1_000_000, tz=UTC).date().isoformat()
