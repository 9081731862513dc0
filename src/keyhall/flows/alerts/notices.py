"""What the owner of a key is told about it: by webhook, and by a letter of their own."""

from dataclasses import dataclass
from typing import Any

import msgspec

from keyhall.flows.alerts.message import Told, stamp
from keyhall.policy.access import at
from keyhall.ports.notices import Notice
from keyhall.ports.records import Key
from keyhall.stores.leaks import notices as rows
from keyhall.stores.sql import SqlStore

TYPES = {"leaked": "key.leaked", "wandering": "key.wandering"}


def defanged(url: str) -> str:
    """An address that no program makes a link of: whoever reports may choose it."""
    return url.replace("://", "[:]//")


@dataclass(frozen=True, slots=True)
class NoticeMessage:
    """One notice. `key` is None if it was removed meanwhile."""

    notice: Notice
    key: Key | None
    url: str  # the hall's
    receivers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"notice-{self.notice.number}"

    @property
    def body(self) -> bytes:
        """JSON in the form of Standard Webhooks."""
        notice = self.notice
        data: dict[str, Any] = {
            "id": self.id,
            "organization": {"id": notice.organization_id},
            "account": {"id": notice.account_id},
            "key": {"id": notice.key_id, "name": self._name, "masked": self._masked},
            **{name: value for name, value in notice.facts.items() if name[-3:] != "_us"},
        }
        data |= {
            name[:-3] + "_at": stamp(value)
            for name, value in notice.facts.items()
            if name[-3:] == "_us"
        }
        said = {"type": TYPES[notice.kind], "timestamp": stamp(notice.at_us), "data": data}
        return msgspec.json.encode(said)

    @property
    def subject(self) -> str:
        if self.notice.kind == "leaked":
            return f"the key {self._name} leaked and is revoked"
        return f"the key {self._name} is used from many places"

    @property
    def text(self) -> str:
        """For people."""
        key = f"{self._name} ({self._masked}, {self.notice.key_id})"
        lines = self._leaked(key) if self.notice.kind == "leaked" else self._wandering(key)
        page = f"{self.url.rstrip('/')}/keys/{self.notice.key_id}"
        return "\n".join([*lines, "", f"Its page: {page}", ""])

    def _leaked(self, key: str) -> list[str]:
        facts = self.notice.facts
        who = "GitHub" if facts["by"] == "github" else "Somebody"
        lines = [
            f"{who} showed the full text of the key {key}, so it was revoked on "
            f"{at(self.notice.at_us)}. Programs that use it are refused.",
            "",
        ]
        if facts["url"]:
            lines.append(f"Seen, as the reporter says, at: {defanged(str(facts['url']))}")
        lines += [
            "Make another key, put it where the old one was, and take the old one out of where it "
            "was found. Look at what it did last.",
        ]
        return lines

    def _wandering(self, key: str) -> list[str]:
        facts = self.notice.facts
        examples = ", ".join(map(str, facts["examples"]))
        return [
            f"The key {key} was used from {facts['networks']} networks in one hour. Usual for it: "
            f"{facts['usual']}; told beyond {facts['bound']}.",
            "",
            f"First: {at(int(facts['first_us']))}. Last: {at(int(facts['last_us']))}.",
            f"Among them: {examples}",
            "",
            "If you expect that, say so on its page. If not, somebody else has it: rotate or "
            "revoke it. It goes on working until you do.",
        ]

    @property
    def _name(self) -> str:
        return self.key.name if self.key else self.notice.key_id

    @property
    def _masked(self) -> str:
        return self.key.masked if self.key else "removed"


class OfNotices:
    """`Source` of notices, for the teller."""

    due = staticmethod(rows.due)
    claim = staticmethod(rows.claim)
    note = staticmethod(rows.note)

    def __init__(self, url: str) -> None:
        self._url = url

    async def message_of(self, store: SqlStore, row: Notice, /) -> Told:
        async with store.reading() as connection:
            key, email = await rows.about(connection, row)
        return NoticeMessage(row, key, self._url, (email,) if email else ())
