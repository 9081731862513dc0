"""What management reads and writes: keys, projects, organizations and engines as values.

The lane sees a key as a `Grant`; these carry what people want to know besides. None of them holds
a secret: a key's digest shows as a short fingerprint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from keyhall.policy.keys import Mode
from keyhall.policy.limits import NO_LIMITS, Limits
from keyhall.policy.quotas import Quota
from keyhall.policy.review.rules import NO_RULES, Rules

KeyState = Literal["active", "paused", "expired", "revoked"]
Group = Literal["key", "model", "day"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, and from where: for the audit."""

    who: str  # operator:ada, account:acct_..., keyhall
    origin: str  # command line, console 192.0.2.1, start


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    name: str
    email: str | None
    created_at_us: int


@dataclass(frozen=True, slots=True)
class Organization:
    id: str
    name: str
    created_at_us: int
    tier: str | None = None  # one made by sign-up carries `free-trial` (R10)
    limits: Limits = NO_LIMITS
    billing_activated_at_us: int | None = None
    suspended_at_us: int | None = None
    time_zone: str = "UTC"
    retention_days_max: int | None = (
        None  # of what its projects may keep; None: no bound of its own
    )


@dataclass(frozen=True, slots=True)
class Project:
    id: str
    organization_id: str
    name: str
    created_at_us: int
    models: tuple[str, ...] | None = None
    limits: Limits = NO_LIMITS
    review: Rules = NO_RULES
    retention_days: int | None = None  # None or 0: of what is said nothing is kept


@dataclass(frozen=True, slots=True)
class Key:
    """A key as lists show it. None in a list's place means everything."""

    id: str
    name: str
    mode: Mode
    masked: str
    fingerprint: str  # of the digest, for the audit
    account_id: str
    project_id: str
    project_name: str
    organization_id: str
    lineage: str
    tier: str
    created_at_us: int
    rotated_from: str | None = None
    networks: tuple[str, ...] | None = None
    endpoints: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    limits: Limits = NO_LIMITS
    expires_at_us: int | None = None
    paused_at_us: int | None = None
    paused_by: str | None = None  # as in the audit's `who`; None: as nobody knows any more
    revoked_at_us: int | None = None
    revoked_reason: str | None = None
    last_used_at_us: int | None = None
    retention_days: int | None = None  # None: as its project; 0: nothing is kept

    def state(self, now_us: int) -> KeyState:
        """The first of R13's states that holds."""
        if self.revoked_at_us is not None:
            return "revoked"
        if self.expires_at_us is not None and self.expires_at_us <= now_us:
            return "expired"
        return "active" if self.paused_at_us is None else "paused"


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """An OpenAI-compatible server. `key_env` names the environment variable with its key."""

    name: str
    url: str
    key_env: str | None
    created_at_us: int
    drained_at_us: int | None = None  # since when it gets no new requests


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A GGUF file that the operator added: an engine of its own, of the same name."""

    name: str  # the engine's name; also the alias that callers may use
    path: str  # absolute
    sha256: str  # 64 hex digits, pinned when it was added
    size: int  # bytes
    architecture: str  # as the file says: llama, qwen3
    parameters: int  # how many weights
    context: int  # tokens that the model was trained for
    has_template: bool  # the file has a chat template of its own
    slots: int  # requests that are answered at once
    slot_context: int  # tokens of one request, prompt and answer
    threads: int | None  # None: chosen at start, from the machine
    shares_prefixes: bool  # the prefix cache may serve one organization what another sent
    created_at_us: int


@dataclass(frozen=True, slots=True)
class Alias:
    name: str
    version: str
    moved_at_us: int
    fallbacks: tuple[str, ...] = ()  # versions that answer, in order, if that one's engine cannot


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One management act. `before` and `after` are JSON of what changed."""

    number: int
    at_us: int
    who: str
    origin: str
    action: str
    target: str
    before: str | None
    after: str | None
    organization_id: str | None = None  # None: an act of the hall, or one older than this column


@dataclass(frozen=True, slots=True)
class UsageLine:
    """The totals of one group: a key's id, a model's name or a day (YYYY-MM-DD, UTC)."""

    group: str
    name: str  # the key's name; else the group again
    requests: int
    input_tokens: int
    output_tokens: int
    cost_nano: int
    unanswered: int  # requests whose answer did not reach its end
    estimated: int  # requests whose tokens nobody counted exactly


@dataclass(frozen=True, slots=True)
class QuotaStanding:
    """What is used and held of a quota in the period that runs."""

    quota: Quota
    begins_us: int
    ends_us: int
    used: int
    held: int

    @property
    def remaining(self) -> int:
        return max(0, self.quota.amount - self.used - self.held)


@dataclass(frozen=True, slots=True)
class Alert:
    """A threshold of a quota that was reached, and how far the telling has come."""

    number: int
    quota_id: str
    organization_id: str
    begins_us: int  # of the quota's period
    threshold: int  # percent
    used: int
    amount: int
    at_us: int
    told_at_us: int | None = None
    attempts: int = 0
    next_try_us: int = 0  # FOREVER_US: given up
    trouble: Mapping[str, str] | None = None  # what the last try failed of, by channel


@dataclass(frozen=True, slots=True)
class Credit:
    """Money that was paid in advance, or taken back: below zero."""

    organization_id: str
    amount_nano: int
    note: str
    at_us: int
