"""Kept totals beside the sums of the rows that they were made of."""

from collections.abc import Mapping, Sequence

from keyhall.policy.verify.chains import Difference

MINUTE_US = 60_000_000


def total_differs(
    kept_in: str, place: Mapping[str, object], by_rows: Mapping[str, int], kept: Mapping[str, int]
) -> Difference | None:
    """A total at a place, such as an hour, a key and a version; the sums by their names."""
    wrong = [name for name, value in by_rows.items() if kept[name] != value]
    if not wrong:
        return None
    return Difference(
        "roll-up",
        f"{kept_in}: " + ", ".join(f"{name} {value}" for name, value in place.items()),
        ", ".join(f"{name} {by_rows[name]}" for name in wrong),
        ", ".join(f"{name} {kept[name]}" for name in wrong),
        "reports differ from the ledger: the total was changed, or its rows were",
    )


def count_differs(
    minute_us: int, key_id: str, row: str, count: int, named: Sequence[str], owners: Sequence[str]
) -> Difference | None:
    """A count of refusals. There is nothing that it sums up, for single refusals are kept only in
    part: so whether it can be one at all. `owners` are the project and organization of its key,
    empty where that is gone; `named` are those that the count names."""
    place = f"refusals of {key_id} by {row} in minute {minute_us}"
    means = "the count was changed or added past Keyhall"
    if minute_us % MINUTE_US:
        return Difference("refusals", place, "the beginning of a minute", str(minute_us), means)
    if count < 1:
        return Difference("refusals", place, "at least 1", str(count), means)
    if owners and list(owners) != list(named):
        expected, found = ", ".join(owners), ", ".join(named)
        return Difference("refusals", place, expected, found, means)
    return None
