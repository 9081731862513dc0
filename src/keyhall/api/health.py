"""Health: is the process alive, and can it do its work?

A hall whose database is away goes on for the keys it has seen, and spools what they use (I-8). It
is degraded then and stays ready: all processes lose their database at once, and a balancer that
took them all out would stop what still works. Where usage can be recorded nowhere it is not ready,
for then it is about to refuse.

Whoever asks from this machine reads what is wrong; everybody else learns which part is ill and no
more, for the words may name addresses and folders. Engines are asked at most every few seconds,
however often somebody asks us.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from keyhall import __version__
from keyhall.api.callers import is_local
from keyhall.flows.hall import Hall
from keyhall.ports.store import StoreAway

CHECK_SECONDS = 2.0
STORE_SECONDS = 1.0  # so long the answer of a check is taken for the next one's
ENGINE_SECONDS = 5.0

Check = Callable[[], Awaitable[str | None]]

OK = "ok"
COUNTERS = "counters"
_ILL = "not ready"


@dataclass(slots=True)
class Health:
    """What readiness is made of. `is_stopping` is set when a shutdown begins; `ledger_problem`
    says why usage can be recorded nowhere, `ledger_delay` why it is recorded late."""

    hall: Hall
    ledger_problem: Callable[[], str | None]
    ledger_delay: Callable[[], str | None]
    is_stopping: bool = False
    _known: dict[str, tuple[object, float, str]] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def parts(self) -> dict[str, str]:
        """Each part, `ok` or what is wrong with it, for the operator."""
        async with self._turn:  # Of many who ask at once, one looks.
            store = self.hall.store
            checks = [self._check("store", store, STORE_SECONDS, self._store)]
            for name, engine in self.hall.engines.items():
                checks.append(self._check(f"engine {name}", engine, ENGINE_SECONDS, engine.check))
            known = dict(await asyncio.gather(*checks))
            for name, engine in self.hall.engines.items():
                trouble = self.hall.breakers.trouble(engine, self.hall.clock.now_us())
                if trouble is not None and known.get(f"engine {name}") == OK:
                    known[f"engine {name}"] = trouble
        server = "shutting down" if self.is_stopping else OK
        ledger = self.ledger_problem() or self.ledger_delay() or OK
        counters = self.hall.counters.degraded() or OK
        return {"server": server, "ledger": ledger, "counters": counters, **known}

    def is_ready(self, parts: dict[str, str]) -> bool:
        """Requests can be answered: usage is recorded or spooled, and an engine is there. One ill
        engine among several is named, and turns nobody away who asks for another."""
        has_engine = OK in (said for name, said in parts.items() if name.startswith("engine "))
        return has_engine and parts["server"] == OK and self.ledger_problem() is None

    async def _store(self) -> str | None:
        try:
            await self.hall.store.last_change()
        except StoreAway as error:
            return f"away: {error}"
        return None

    async def _check(self, name: str, part: object, seconds: float, ask: Check) -> tuple[str, str]:
        now = asyncio.get_running_loop().time()
        known, until, said = self._known.get(name, (None, 0.0, ""))
        if known is not part or now >= until:
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    said = await ask() or OK
            except TimeoutError:
                said = f"no answer within {CHECK_SECONDS:g} s"
            self._known[name] = (part, now + seconds, said)
        return name, said


def _json(status: int, value: Any) -> Response:
    body = msgspec.json.format(msgspec.json.encode(value)) + b"\n"
    return Response(
        body, status, media_type="application/json", headers={"cache-control": "no-store"}
    )


async def healthz(request: Request) -> Response:
    """The process answers: nothing else is asked. Of several workers, it says which."""
    worker = request.app.state.hall.worker
    which = {} if worker is None else {"worker": worker}
    return _json(200, {"status": OK, "version": __version__, **which})


async def readyz(request: Request) -> Response:
    """200 when requests can be answered, 503 otherwise; each part and which are ill."""
    health: Health = request.app.state.health
    parts = await health.parts()
    ready = health.is_ready(parts)
    degraded = [name for name, said in parts.items() if said != OK]
    if not is_local(request, health.hall):
        parts = {name: said if said == OK else _ILL for name, said in parts.items()}
    return _json(200 if ready else 503, {"ready": ready, "degraded": degraded, "parts": parts})
