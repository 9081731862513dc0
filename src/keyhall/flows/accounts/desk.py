"""The desk: what the flows of people need of the world, and the refusals that they share."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn, Protocol

from keyhall.clock import Clock
from keyhall.flows.manage.checks import Refused
from keyhall.ports.records import Actor
from keyhall.stores.sql import SqlStore

SignUp = Literal["open", "domains", "invite", "closed"]


class Post(Protocol):
    """Carries letters to people, where a mail server is configured."""

    async def post(
        self, receivers: Sequence[str], subject: str, text: str, letter_id: str, now_us: int
    ) -> None:
        """Raises Untold."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """Built once, beside the hall."""

    store: SqlStore
    clock: Clock
    pepper: bytes
    url: str  # where people find this hall
    sign_up: SignUp
    domains: tuple[str, ...] = ()
    terms_url: str = ""
    terms_version: str = "1"
    old_peppers: tuple[bytes, ...] = ()
    mail: Post | None = None
    on_the_way: set[asyncio.Task[None]] = field(default_factory=set)  # letters that nobody awaits

    @property
    def has_mail(self) -> bool:
        return self.mail is not None

    @property
    def peppers(self) -> tuple[bytes, ...]:
        """Newest first."""
        return (self.pepper, *self.old_peppers)


@dataclass(frozen=True, slots=True)
class From:
    """Where a person sits, for sessions, the audit and what is slowed down."""

    ip: str
    user_agent: str

    def actor(self, account_id: str) -> Actor:
        return Actor(f"account:{account_id}", f"console {self.ip}")


class Denied(Refused):
    """It was not done, for a reason that the person may be told."""


class SlowDown(Denied):
    """Too many failed tries; `wait_us` says how long to wait."""

    def __init__(self, wait_us: int) -> None:
        seconds = max(1, -(-wait_us // 1_000_000))
        words = f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"
        super().__init__(f"Too many tries. Wait {words} and try again.")
        self.wait_us = wait_us


def deny(said: str) -> NoReturn:
    raise Denied(said)
