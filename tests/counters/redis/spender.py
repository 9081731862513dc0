"""One process of the R1 trial: 32 clients that hold and settle as fast as they can.

    python spender.py URL SECONDS CLIENTS SEED RPM TPM FILE

Appends to the file a line per admitted request, `held ADMITTED_AT_US USED OUTAGE`, and one per
request that was refused without Redis, `degraded WAITED_US`.
"""

import asyncio
import os
import random
import sys
import time

from keyhall.clock import SystemClock
from keyhall.counters.redis.address import parse
from keyhall.counters.redis.counters import RedisCounters
from keyhall.lane.steps import drive
from keyhall.outbox import Outbox
from keyhall.policy.limits import Limits, Refused, WindowLimits


async def spend(url: str, seconds: float, clients: int, seed: int, rpm: int, tpm: int) -> None:
    counters = RedisCounters(parse(url), SystemClock(), Outbox(), reply_seconds=1.0)
    await counters.start()
    windows = (
        WindowLimits("key", "key:one", Limits(rpm, tpm), "org_1"),
        WindowLimits("project", "project:one", Limits(), "org_1"),
        WindowLimits("organization", "organization:one", Limits(2 * rpm, 2 * tpm), "org_1"),
    )
    until = time.monotonic() + seconds
    out = os.open(sys.argv[7], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def client(number: int) -> None:
        dice = random.Random(seed * 1000 + number)
        while time.monotonic() < until:
            began = time.monotonic()
            hold = await drive(counters.hold(windows, dice.randint(1, 200)))
            waited = time.monotonic() - began
            if isinstance(hold, Refused):
                if hold.is_degraded:
                    os.write(out, b"degraded %d\n" % (waited * 1e6))
                await asyncio.sleep(dice.random() * 0.02)
                continue
            used = dice.randint(0, hold.tokens)
            # Written before it is settled: whoever is killed in between has held it.
            os.write(out, b"held %d %d %d\n" % (hold.admitted_at_us, used, hold.outage))
            await asyncio.sleep(dice.random() * 0.01)
            counters.settle(hold, used)

    await asyncio.gather(*(client(number) for number in range(clients)))
    await asyncio.sleep(0.1)
    counters.close()


if __name__ == "__main__":
    url, *numbers = sys.argv[1:7]
    seconds, clients, seed, rpm, tpm = map(int, numbers)
    asyncio.run(spend(url, seconds, clients, seed, rpm, tpm))
