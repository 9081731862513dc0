"""A model in a process of its own, as tests use it: asked without a server around it."""

import hashlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_files import TOOLS_TEMPLATE, make_model

from keyhall.engines.local.answer import LocalAnswer
from keyhall.engines.local.engine import LocalEngine
from keyhall.lane.steps import drive
from keyhall.policy.catalogue import ENGINE_COUNTS, Sampling, Version
from keyhall.ports.engine import Job
from keyhall.ports.records import ModelRecord
from keyhall.wire import chat_read
from keyhall.wire.chat import ChatRequest, Chunk, Completion

IS_LINUX = sys.platform == "linux"


def record_of(path: Path, **changes: Any) -> ModelRecord:
    data = path.read_bytes() if path.exists() else b""
    facts: dict[str, Any] = {
        "name": "tiny",
        "path": str(path),
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "architecture": "llama",
        "parameters": 116_000,
        "context": 2048,
        "has_template": True,
        "slots": 4,
        "slot_context": 2048,
        "threads": 1,
        "shares_prefixes": False,
        "created_at_us": 0,
    }
    return ModelRecord(**(facts | changes))


def tiny_model(folder: Path) -> Path:
    return make_model(folder / "tiny.gguf", template=TOOLS_TEMPLATE, context=8192, calls=True)


def request(content: str = "Say something.", **fields: Any) -> ChatRequest:
    whole = {"model": "tiny", "messages": [{"role": "user", "content": content}]} | fields
    return chat_read.read(json.dumps(whole).encode())


@dataclass
class Told:
    """What came of one request."""

    answer: LocalAnswer
    completion: Completion | None = None
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def text(self) -> str:
        if self.completion is not None:
            return self.completion.choices[0].message.content or ""
        deltas = [choice.delta for chunk in self.chunks for choice in chunk.choices]
        return "".join(delta.content for delta in deltas if delta.content)


@dataclass
class Model:
    engine: LocalEngine
    accepted: int = 0

    def version(self, sampling: Sampling) -> Version:
        return Version(1, "tiny-1", "tiny", "tiny", 0, sampling, tokenizer=ENGINE_COUNTS)

    def start(
        self,
        asked: ChatRequest,
        *,
        key: str = "key",
        cap: int = 24,
        sampling: Sampling | None = None,
    ) -> LocalAnswer:
        def accepted() -> None:
            self.accepted += 1

        version = self.version(sampling or Sampling())
        return self.engine.start(Job("0" * 32, key, asked, version, 0, cap, accepted))

    async def ask(self, asked: ChatRequest, **options: Any) -> Told:
        """As the flow asks: a stream if the request wants one, else the whole answer."""
        answer = self.start(asked, **options)
        told = Told(answer)

        async def read() -> None:
            if not asked.stream:
                told.completion = await answer.whole()
                return
            while chunks := await answer.chunks():
                told.chunks += chunks

        try:
            await drive(read())
        finally:
            answer.close()
        return told

    async def count(self, asked: ChatRequest, key: str = "key") -> int:
        return await self.engine.count(asked, key)

    async def busy(self) -> int:
        """Slots that the process itself has at work."""
        link = self.engine._link
        assert link is not None
        call = link.probe()

        async def wait() -> None:
            while not call.is_over:
                await call.signal

        await drive(wait())
        return sum(slot["is_processing"] for slot in json.loads(call.take()))


@asynccontextmanager
async def a_model(path: Path, log: Path, **changes: Any) -> AsyncIterator[Model]:
    """Running and ready. `hang_seconds` is the engine's, the rest are fields of the record."""
    options = {"hang_seconds": changes.pop("hang_seconds")} if "hang_seconds" in changes else {}
    engine = LocalEngine(record_of(path, **changes), log, **options)
    engine.begin()
    try:
        await engine.keeper.settled(20)
        assert engine.trouble is None, engine.trouble
        yield Model(engine)
    finally:
        await engine.close()
