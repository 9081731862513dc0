"""The played scripts: one row for each way the sandbox can behave.

A version's `engine_model` chooses the row; a name that is none plays `sandbox`, so a test key gets
an answer for every version name (R19).
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from keyhall.engines.sandbox.dice import packed
from keyhall.ports.engine import Job

FAILURE_REMEMBERED_US = 60_000_000
FAILURES_REMEMBERED_MAX = 4096  # The oldest is forgotten first: about 500 KB at most.


@dataclass(frozen=True, slots=True)
class Script:
    """How an answer is delivered. The defaults are the ordinary answer."""

    name: str
    tokens_per_second: float | None = None  # None: the engine's pace, for streams only
    fills_cap: bool = False
    is_filtered: bool = False  # ends in the middle with `content_filter`
    breaks: bool = False  # fails in the middle
    is_silent: bool = False
    fails_first: bool = False
    is_limited: bool = False

    @property
    def is_prose(self) -> bool:
        """Text whatever tools and formats the request names."""
        return self.fills_cap or self.is_filtered


SCRIPTS = {
    script.name: script
    for script in (
        Script("sandbox"),
        Script("slow", tokens_per_second=1.0),
        Script("long", fills_cap=True),
        Script("error-500-then-ok", fails_first=True),
        Script("cut-mid-stream", breaks=True),
        Script("429", is_limited=True),
        Script("content-filter", is_filtered=True),
        Script("silence", is_silent=True),
    )
}


def script_for(engine_model: str) -> Script:
    """The script of `slow` or `sandbox/slow`."""
    return SCRIPTS.get(engine_model.removeprefix("sandbox/"), SCRIPTS["sandbox"])


class Failures:
    """Which requests have failed on purpose already, for 60 s: the one script with state."""

    __slots__ = ("_now_us", "_until_us")

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._until_us: dict[bytes, int] = {}

    def is_first(self, job: Job) -> bool:
        """Whether this key has not sent this body within 60 s of a failure; remembers it."""
        body = packed((job.key_id, job.request))
        mark = blake2b(body, digest_size=16).digest()
        now_us = self._now_us()
        if self._until_us.get(mark, 0) > now_us:
            return False
        self._until_us.pop(mark, None)
        if len(self._until_us) >= FAILURES_REMEMBERED_MAX:
            del self._until_us[next(iter(self._until_us))]
        self._until_us[mark] = now_us + FAILURE_REMEMBERED_US
        return True
