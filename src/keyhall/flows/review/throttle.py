"""How much feedback a key may give: it counts against no limit, and must not fill the database."""

from keyhall import errors
from keyhall.errors import ApiError
from keyhall.wire import headers

MINUTE_US = 60_000_000
PER_MINUTE = 60  # A person clicks less; a program that rates every answer of a trial tier fits.
KEYS_MAX = 10_000


class Throttle:
    """Counts of the current minute, by key."""

    def __init__(self, per_minute: int = PER_MINUTE) -> None:
        self._most = per_minute
        self._minute = 0
        self._counts: dict[str, int] = {}

    def count(self, key_id: str, masked: str, now_us: int) -> None:
        """One more. Raises ApiError FEEDBACK_RATE."""
        minute = now_us // MINUTE_US
        if minute != self._minute or len(self._counts) >= KEYS_MAX:
            self._minute = minute
            self._counts.clear()
        count = self._counts.get(key_id, 0)
        if count >= self._most:
            wait_us = (minute + 1) * MINUTE_US - now_us
            raise ApiError(
                errors.FEEDBACK_RATE,
                headers=headers.retry_headers(wait_us),
                key=masked,
                limit=self._most,
                wait=headers.wait_duration(wait_us),
            )
        self._counts[key_id] = count + 1
