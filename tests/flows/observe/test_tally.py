"""The counts that `/metrics` reads."""

from keyhall import errors
from keyhall.flows.observe.tally import LATENCY_BOUNDS_US, Tally
from keyhall.policy.metering import Outcome


def test_a_value_on_a_bound_belongs_to_its_bucket():
    tally = Tally()
    for value_us in (0, 1_000, 1_001, 60_000_000, 60_000_001):
        tally.settled(Outcome.ANSWERED, 1, 1, value_us, 0)
    histogram = tally.duration
    assert histogram.buckets[0] == 2
    assert histogram.buckets[1] == 1
    assert histogram.buckets[-2:] == [1, 1]
    assert len(histogram.buckets) == len(LATENCY_BOUNDS_US) + 1
    assert histogram.sum_us == 120_002_002


def test_refusals_are_counted_by_row_and_by_limit():
    tally = Tally()
    for row in (errors.NO_KEY, errors.NO_KEY, errors.RATE_TOKENS):
        tally.refused(row)
    for scope in ("key", "key", "project"):
        tally.limited("tokens", scope)
    assert tally.refusals == {"no_key": 2, "rate_tokens": 1}
    assert tally.refused_by_limit == {("tokens", "key"): 2, ("tokens", "project"): 1}


def test_every_settled_request_is_counted_under_its_outcome():
    tally = Tally()
    tally.settled(Outcome.ANSWERED, 10, 5, 2_000, 500)
    tally.settled(Outcome.CLIENT_LEFT, 1, 0, 3_000, 0)
    assert tally.outcomes[Outcome.ANSWERED] == tally.outcomes[Outcome.CLIENT_LEFT] == 1
    assert (tally.input_tokens, tally.output_tokens) == (11, 5)
    assert tally.duration.sum_us == 5_000
    assert (tally.first_byte.sum_us, sum(tally.first_byte.buckets)) == (500, 1)


def test_a_request_that_ends_is_counted_once(on_stage):
    async def main(stage):
        key = await stage.key()
        for stream in (False, True):
            await stage.ask(key, stream=stream)
        tally = stage.hall.tally
        assert sum(tally.outcomes) == tally.outcomes[Outcome.ANSWERED] == 2
        assert (tally.input_tokens, tally.output_tokens) == (20, 6)

    on_stage(main)
