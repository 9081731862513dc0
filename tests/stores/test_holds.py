"""The order in which holds of quotas lock what others lock too."""

from contextlib import suppress

from keyhall.stores.spending import holds

ROWS = {"a": [("quota_2", 0, 5)], "b": [("quota_1", 0, 1), ("quota_2", 0, 2)], "c": []}


def test_sums_of_quotas_are_locked_in_one_order_whatever_requests_end_together():
    """A hold takes its sums in this order: whoever took them request by request would wait for one
    that waits for it, until PostgreSQL ends one of the two after a second."""
    asked, ended = [], []

    def answered():
        ended.append((yield from holds.end(["b", "c", "a"])))

    steps, answer = answered(), None
    while not ended:
        step = next(steps, None) if answer is None else _send(steps, answer)
        if step is not None:
            asked.append(tuple(step.values))
            answer = ROWS.get(step.values[0], [])
    assert ended == [3]
    assert asked == [("a",), ("b",), ("c",), (1, "quota_1", 0), (7, "quota_2", 0)]


def _send(steps, answer):
    with suppress(StopIteration):
        return steps.send(answer)
    return None
