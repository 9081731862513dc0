"""R14: a running server hears of models as it hears of engines."""

import asyncio

from hall_inside import open_inside
from patience import PATIENCE_SECONDS

from keyhall.clock import ManualClock
from keyhall.flows.models import manage
from keyhall.ports.records import ModelRecord


async def until(condition):
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def test_r14_a_model_that_a_command_adds_or_removes_is_known_within_a_moment(house, caplog) -> None:
    caplog.set_level("INFO", "keyhall")
    model = ModelRecord(
        *("tiny", str(house.data / "nosuch.gguf"), "ab" * 32, 1, "llama", 1, 2048, True),
        *(4, 2048, None, False, house.now_us),
    )
    by = {"actor": house.actor, "now_us": house.now_us}

    def told():
        return sum(record.msg == "engines_changed" for record in caplog.records)

    async def story():
        async with open_inside(house.data, ManualClock(house.now_us)) as server:
            store = server.house.store
            await manage.add(store, model, **by)
            await until(lambda: server.hall.catalogue.find("tiny") is not None)
            await until(lambda: told() == 1)
            await manage.remove(store, "tiny", use="v1", **by)
            await until(lambda: server.hall.catalogue.find("tiny").replacement == "v1")
            await until(lambda: told() == 2)

    asyncio.run(story())
