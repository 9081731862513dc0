"""Drained engines: no new requests, told as such, and back again."""

import pytest

from keyhall.flows.manage import engines
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.flows.outages.breakers import Breakers
from keyhall.ports.records import EngineRecord


class Named:
    """What a breaker needs of an engine."""

    def __init__(self, name: str) -> None:
        self.name = name


def by(house):
    return {"actor": house.actor, "now_us": house.now_us}


def test_draining_is_kept_and_ended_once(house) -> None:
    async def story(store):
        record = EngineRecord("vllm", "http://10.0.0.5/v1", None, house.now_us)
        await engines.add(store, record, **by(house))
        for _ in range(2):
            assert (await engines.drain(store, "vllm", **by(house))).drained_at_us == house.now_us
        (kept,) = await store.list_engines()
        assert kept.drained_at_us == house.now_us
        assert (await engines.resume(store, "vllm", **by(house))).drained_at_us is None
        with pytest.raises(NotFound):
            await engines.drain(store, "none", **by(house))
        with pytest.raises(Refused, match="cannot be drained"):
            await engines.drain(store, "sandbox", **by(house))

    house.run(story)


def test_a_drained_engine_gets_nothing_whatever_it_answers() -> None:
    vllm = Named("vllm")
    breakers = Breakers()
    breakers.keep({"vllm": vllm}, {"vllm"})
    assert breakers.wait_us(vllm, 0) > 0
    breakers.answered(vllm, 0)  # One that was under way.
    assert breakers.wait_us(vllm, 0) > 0
    assert "drained" in breakers.trouble(vllm, 0)
    breakers.keep({"vllm": vllm})
    assert not breakers


def test_an_engine_that_failed_before_it_was_drained_is_still_watched_after_it() -> None:
    vllm = Named("vllm")
    breakers = Breakers()
    breakers.failed(vllm, 0)
    breakers.keep({"vllm": vllm}, {"vllm"})
    assert breakers.is_drained(vllm)
    breakers.keep({"vllm": vllm})
    assert not breakers.is_drained(vllm)
    assert "vllm" in breakers
    assert breakers.wait_us(vllm, 0) == 0
