"""What an alert says, and what every way of telling it promises."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from keyhall.policy.pricing import NANO_DIGITS, decimal
from keyhall.policy.quotas import FOREVER_US, Quota, span
from keyhall.ports.records import Alert

TYPE = "quota.threshold_reached"
_UNITS = {"requests": "requests", "tokens": "tokens", "money": "nano"}


class Untold(Exception):
    """It could not be told; the message says why, in a few words for the operator."""


class Told(Protocol):
    """Anything that is told: for programs in `body`, for people in the others."""

    @property
    def id(self) -> str:
        """The same for every try, so that receivers can tell a second one."""
        ...

    @property
    def body(self) -> bytes: ...
    @property
    def subject(self) -> str: ...
    @property
    def text(self) -> str: ...

    @property
    def receivers(self) -> tuple[str, ...]:
        """Addresses that are written to, beside those that are written to of everything."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """One alert. `quota` is None if it was removed meanwhile."""

    alert: Alert
    quota: Quota | None
    owner_name: str
    organization_name: str
    is_test: bool = False
    receivers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.alert.quota_id}-{self.alert.number}"

    @property
    def body(self) -> bytes:
        """JSON in the form of Standard Webhooks."""
        alert, quota = self.alert, self.quota
        data: dict[str, Any] = {
            "id": self.id,
            "organization": {"id": alert.organization_id, "name": self.organization_name},
            "quota": {"id": alert.quota_id},
            "threshold": alert.threshold,
            "used": alert.used,
            "amount": alert.amount,
        }
        if quota is not None:
            data["quota"] |= {
                "scope": quota.scope,
                "owner": {"id": quota.scope_id, "name": self.owner_name},
                "resource": quota.resource,
                "policy": quota.policy,
            }
            data["unit"] = _UNITS[quota.resource]
            data["period"] = self._period(quota)
        if self.is_test:
            data["test"] = True
        said = {"type": TYPE, "timestamp": stamp(alert.at_us), "data": data}
        return msgspec.json.encode(said)

    def _period(self, quota: Quota) -> dict[str, str | None]:
        """A quota for ever began when it was made, and ends never."""
        if quota.period == "ever":
            return {"name": "ever", "begins": stamp(quota.created_at_us), "ends": None}
        begins_us = self.alert.begins_us
        ends_us = span(quota.period, begins_us, quota.zone).ends_us
        return {"name": quota.period, "begins": stamp(begins_us), "ends": stamp(ends_us)}

    @property
    def subject(self) -> str:
        test = "Test: " if self.is_test else ""
        return f"{test}{self.alert.threshold} % of {self._what} used"

    @property
    def text(self) -> str:
        """For people."""
        alert, quota = self.alert, self.quota
        lines = [f"{self.subject}.", ""]
        lines.append(f"Organization: {self.organization_name} ({alert.organization_id})")
        lines.append(f"Quota: {alert.quota_id}")
        lines.append(f"Used: {self._units(alert.used)} of {self._units(alert.amount)}")
        if quota is not None:
            if quota.policy == "suspend":
                lines.append("Beyond it: requests are refused")
            else:
                lines.append("Beyond it: overage is charged")
            ends_us = span(quota.period, max(alert.begins_us, 1), quota.zone).ends_us
            if ends_us != FOREVER_US:
                resets = datetime.fromtimestamp(ends_us // 1_000_000, tz=UTC).astimezone(quota.zone)
                lines.append(f"Resets: {resets:%Y-%m-%d %H:%M %Z}")
        lines += ["", f"`keyhall quotas show {alert.quota_id}` shows where it stands now."]
        return "\n".join(lines) + "\n"

    @property
    def _what(self) -> str:
        quota = self.quota
        if quota is None:
            return "a quota that was removed meanwhile is"
        period = "prepaid credit" if quota.period == "ever" else f"per {quota.period}"
        of = f"{quota.scope} {self.owner_name or quota.scope_id}"
        unit = "" if quota.resource == "money" else f" {quota.resource}"
        return f"{self._units(self.alert.amount)}{unit} {period} of {of} is"

    def _units(self, units: int) -> str:
        if self.quota is None or self.quota.resource != "money":
            return f"{units:,}"
        return decimal(units, NANO_DIGITS)


def stamp(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Channel(Protocol):
    """A way of telling. `name` is how troubles call it."""

    @property
    def name(self) -> str: ...

    async def send(self, message: Told, now_us: int) -> None:
        """Within the channel's own deadline. Raises Untold."""
        ...

    async def close(self) -> None: ...
