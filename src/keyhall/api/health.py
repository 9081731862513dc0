"""Health: is the process alive, and can it do its work?"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from keyhall.flows.hall import Hall
from keyhall.ports.store import StoreAway

CHECK_SECONDS = 2.0


@dataclass(slots=True)
class Health:
    """What readiness is made of. `is_stopping` is set when a shutdown begins."""

    hall: Hall
    version: str
    is_stopping: bool = False
    journal_problem: Any = field(default=lambda: None)  # () -> str | None

    async def parts(self) -> dict[str, str]:
        """Each part, `ok` or one line that says what is wrong."""
        parts = {"store": await self._store(), "ledger": self.journal_problem() or "ok"}
        names = list(self.hall.engines)
        checks = await asyncio.gather(*(self._engine(name) for name in names))
        parts |= {f"engine {name}": said for name, said in zip(names, checks, strict=True)}
        if self.is_stopping:
            parts["server"] = "shutting down"
        return parts

    async def _store(self) -> str:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self.hall.store.last_change()
        except (StoreAway, TimeoutError):
            return "does not answer"
        return "ok"

    async def _engine(self, name: str) -> str:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await self.hall.engines[name].check() or "ok"
        except TimeoutError:
            return "does not answer"


def _json(status: int, value: Any) -> Response:
    body = msgspec.json.format(msgspec.json.encode(value)) + b"\n"
    return Response(body, status_code=status, media_type="application/json")


async def healthz(request: Request) -> Response:
    """The process answers: nothing else is asked."""
    health: Health = request.app.state.health
    return _json(200, {"status": "ok", "version": health.version})


async def readyz(request: Request) -> Response:
    """200 when requests can be answered: the store and the ledger work, and an engine is there.

    One ill engine among several does not make the hall unready: it is named in the body.
    """
    health: Health = request.app.state.health
    parts = await health.parts()
    engines = [said for name, said in parts.items() if name.startswith("engine ")]
    is_ready = (
        parts["store"] == "ok"
        and parts["ledger"] == "ok"
        and any(said == "ok" for said in engines)
        and not health.is_stopping
    )
    return _json(200 if is_ready else 503, {"ready": is_ready, "parts": parts})
