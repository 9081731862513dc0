"""Usage: what one settled request used, as the ledger records it (R1, R5, R12, R17)."""

from enum import IntEnum

import msgspec


class Outcome(IntEnum):
    """How a request ended. The numbers are stored: never reuse one."""

    ANSWERED = 0  # the whole answer was produced and handed to the client's connection
    CLIENT_LEFT = 1  # the client closed before the end
    ENGINE_FAILED = 2  # the engine failed, before or after its first byte
    KEY_REVOKED = 3  # cut because the key was revoked while it ran
    CRASHED = 4  # settled from the journal after the process died
    STOPPED = 5  # cut by shutdown after the grace period
    STALLED = 6  # the client stopped reading, or a deadline of ours passed


class UsageSource(IntEnum):
    """Who counted. The numbers are stored: never reuse one."""

    ENGINE = 0  # the engine's own count, within 0...hold
    COUNTED = 1  # our tokenizer over the delivered text
    ESTIMATED = 2  # events of an upstream, or an upstream count that could not be true
    LOST = 3  # the journal was lost: input and the full cap are charged


class Disconnect(IntEnum):
    """What its version wanted done if the client left. The numbers are stored: never reuse one."""

    ABORT = 0  # the engine is stopped, what was produced is charged
    DRAIN = 1  # the engine goes on to its end, all of it is charged


class Endpoint(IntEnum):
    """Which endpoint. The numbers are stored: never reuse one."""

    CHAT = 0


class Usage(msgspec.Struct, frozen=True, gc=False):
    """One settled request. Tokens are whole numbers, times microseconds since 1970, cost
    nano-units (10^-9 of the currency), rounded up once (R18).

    A msgspec struct because one is made per request: 0.4 us against 2.5 us of a frozen dataclass.
    """

    request_id: str  # 32 hex digits
    key_id: str  # key_ + 12 characters
    project_id: str
    organization_id: str
    version: str  # the version record's name
    endpoint: Endpoint
    is_test: bool
    is_stream: bool
    admitted_at_us: int
    finished_at_us: int
    first_byte_us: int  # from admission to the answer's first byte; 0 if there was none
    input_tokens: int
    output_tokens: int
    held_tokens: int
    output_cap: int  # n times the cap that the engine was told
    cost_nano: int
    outcome: Outcome
    usage_source: UsageSource
    on_disconnect: Disconnect = Disconnect.ABORT
