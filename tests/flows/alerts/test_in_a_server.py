"""From a request to whoever is told of it, through a whole server."""

import asyncio
import base64
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "running"))  # No packages in tests.

from hall_inside import TESTER, open_inside
from patience import PATIENCE_SECONDS
from plain_http import chat
from told import Receiver

from keyhall.clock import ManualClock
from keyhall.config.alerts import Alerts
from keyhall.flows.alerts import tell
from keyhall.flows.manage import quotas
from keyhall.flows.manage.statements import statement

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def test_what_a_request_reaches_is_told_and_stands_on_the_statement(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tell, "LOOK_SECONDS", 0.01)
    clock = ManualClock()

    async def work():
        async with Receiver() as receiver:
            alerts = Alerts(webhook_url=receiver.url, webhook_secret=SECRET)
            async with open_inside(tmp_path / "data", clock, alerts=alerts) as inside:
                store = inside.house.store
                key = (await inside.make_key()).text.reveal()
                owner = quotas.Owner("key", "test")
                terms = quotas.Terms(1, "overage", 2_000_000)
                more = {"actor": TESTER, "now_us": clock.now_us()}
                await quotas.put(store, owner, "requests", "day", terms, entropy=b"q" * 64, **more)
                line = await inside.line()
                for _ in range(2):
                    assert (await line.ask(key, chat("Say hello."))).status == 200
                await inside.hall.ledger.flush()
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while len(receiver.got) < 3:
                        await asyncio.sleep(0.01)
                made = await statement(store, "Default organization", None, clock.now_us())
                return [json.loads(got.body)["data"] for got in receiver.got], made

    told, made = asyncio.run(work())
    assert sorted(each["threshold"] for each in told) == [50, 80, 100]
    assert {each["quota"]["owner"]["name"] for each in told} == {"test"}
    (over,) = made.overage
    assert (over.units, over.cost_nano, made.ledger.rows) == (1, 2_000, 2)
