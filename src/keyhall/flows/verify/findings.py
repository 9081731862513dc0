"""What a verification found: differences up to a bound, counts, and how far it has come."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from keyhall.policy.verify.chains import Difference

DIFFERENCES_MAX = 1_000  # kept in words; the others are counted

Progress = Callable[[str, int, int], None]  # what is looked at, how much of it is done, of how much


def silent(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody watches."""


@dataclass(slots=True)
class Findings:
    """Filled by the parts of a verification."""

    rows: int = 0
    batches: int = 0
    writers: int = 0
    unchained: int = 0  # rows older than the chains
    unpriced: int = 0  # rows of versions that have no record
    exceeded: int = 0  # rows that used more than was held for them
    audit_rows: int = 0
    audit_unchained: int = 0
    anchors: int = 0
    quotas: int = 0
    totals: int = 0
    overage_rows: int = 0
    open_requests: int = 0
    settled_requests: int = 0  # in journals, and not in the database
    spooled: int = 0  # settled requests in spool files
    notes: list[str] = field(default_factory=list)  # worth knowing, nothing wrong
    differences: list[Difference] = field(default_factory=list)
    differences_more: int = 0

    @property
    def is_good(self) -> bool:
        return not self.differences

    def add(self, difference: Difference | None) -> None:
        if difference is None:
            return
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(difference)
        else:
            self.differences_more += 1

    def add_all(self, differences: Iterable[Difference]) -> None:
        for difference in differences:
            self.add(difference)
