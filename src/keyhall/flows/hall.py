"""What a flow may use: the ports, and the values that the store's changes replace."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from keyhall.clock import Clock
from keyhall.errors import ApiError
from keyhall.flows.callers import Callers
from keyhall.flows.drain import Drains
from keyhall.flows.filters.policies import Policies
from keyhall.flows.filters.table import Filters
from keyhall.flows.observe.request_log import RequestLog
from keyhall.flows.observe.tally import Tally
from keyhall.flows.outages.breakers import Breakers
from keyhall.policy.catalogue import Catalogue
from keyhall.ports.counters import Counters
from keyhall.ports.engine import Engine
from keyhall.ports.exchange import Exchange
from keyhall.ports.ledger import Ledger
from keyhall.ports.quotas import Quotas
from keyhall.ports.store import LaneStore
from keyhall.tokenizers import Tokenizer
from keyhall.turn import Turn


class TrustedProxies(Protocol):
    """Finds a client's address behind proxies that the operator trusts (R26)."""

    def client_ip(self, peer: str, forwarded_for: bytes | None) -> str: ...


class Notes(Protocol):
    """Keeps what callers were refused, for those whose keys they are."""

    def refused(self, exchange: Exchange, error: ApiError, hall: "Hall", /) -> None: ...


@dataclass(slots=True)
class Hall:
    """Built once, in app.py. `catalogue` and `engines` are replaced when they change."""

    clock: Clock
    store: LaneStore
    counters: Counters
    quotas: Quotas
    ledger: Ledger
    callers: Callers
    catalogue: Catalogue
    engines: Mapping[str, Engine]
    tokenizer: Callable[[str], Tokenizer]
    url: str  # where people find this hall, for messages
    turn: Turn
    policies: Policies  # of moderations
    tally: Tally = field(default_factory=Tally)
    breakers: Breakers = field(default_factory=Breakers)  # of engines that fail; else empty
    drains: Drains = field(default_factory=Drains)
    body_bytes_max: int = 10 * 1024 * 1024
    trusted_proxies: TrustedProxies | None = None
    hop: bytes = b""  # what our upstream requests carry: one that comes back is our own (attack 23)
    worker: int | None = None  # its number, where several serve on one socket
    failed_requests: RequestLog | None = None  # log.requests = "errors"
    every_request: RequestLog | None = None  # log.requests = "all"
    refusals: Notes | None = None  # None: console.refusals_days = 0

    @property
    def filters(self) -> Filters:
        """The rules that callers are under."""
        return self.callers.filters

    def log_failure(self, request_id: str, error: BaseException) -> None:
        """A mistake of ours: where it happened, and never the text it happened on (I-13)."""
        facts = {"request_id": "req_" + request_id}
        logging.getLogger("keyhall").error("request_failed", facts, exc_info=error)
