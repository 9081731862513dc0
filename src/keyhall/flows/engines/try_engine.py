"""Try an engine: one live call with its timings, for the operator who wants to know now.

A connection of its own shows how long connecting takes, and a model in a file how long loading
takes; then a completion of a few tokens goes the
way that requests go. It is bounded, counts in nobody's limits and in no ledger, and an upstream
may charge its few tokens.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from keyhall.engines.local.engine import LocalEngine
from keyhall.engines.upstream.address import AddressRefused
from keyhall.engines.upstream.engine import UpstreamEngine
from keyhall.errors import ApiError
from keyhall.flows.drain import Stepped
from keyhall.flows.manage import checks
from keyhall.flows.manage.checks import Invalid
from keyhall.policy.catalogue import Version
from keyhall.ports.engine import Answer, Engine, Job
from keyhall.ports.records import Actor
from keyhall.stores import notes
from keyhall.stores.sql import SqlStore
from keyhall.wire import chat_read
from keyhall.wire.chat import Chunk

SECONDS_MAX = 15.0
OUTPUT_TOKENS = 16
PROMPT = "Say hello."
SHOWN_CHARACTERS = 200
_BODY = {"messages": [{"role": "user", "content": PROMPT}], "stream": True}

Step = Literal[
    "connecting", "loading the model", "waiting for the first byte", "reading the answer", "done"
]


@dataclass(slots=True)
class Trial:
    """How far it came, and when. Times are microseconds from its start, None where it did not
    come so far; an embedded engine has nothing to connect to, a model in a file is loaded."""

    engine: str
    model: str
    step: Step = "connecting"
    connect_us: int | None = None
    first_byte_us: int | None = None  # from the request on its way
    total_us: int | None = None
    text: str = ""
    problem: str = ""
    advice: str = ""

    @property
    def is_well(self) -> bool:
        return self.step == "done"


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial as the audit tells it: numbers, and none of the answer's words."""

    model: str
    is_well: bool
    step: str
    connect_us: int | None
    first_byte_us: int | None
    total_us: int | None


class NotLoaded(Exception):
    """A model in a file that does not run; the message says why."""


async def attempt(engine: Engine, model: str, seconds: float = SECONDS_MAX) -> Trial:
    """One call. Never raises for what the engine does."""
    if not model.strip() or len(model) > checks.NAME_CHARACTERS_MAX * 2:
        raise Invalid("Say which model: by the name that the engine knows it by.")
    trial = Trial(engine.name, model.strip())
    try:
        async with asyncio.timeout(seconds):
            await _connect(engine, trial)
            await Stepped(_ask(engine, trial))
    except TimeoutError:
        trial.problem = f"It took longer than {seconds:g} s."
        trial.advice = "Look at the engine's own load, or at what lies between it and this server."
    except NotLoaded as error:
        trial.problem = f"It does not run: {error}."
        trial.advice = f"`keyhall models show {engine.name} --verify` looks at its file."
    except AddressRefused as error:
        trial.problem = f"Its address may not be used: {error}."
        trial.advice = "Remove the engine and add it with another address."
    except ApiError as error:
        trial.problem = engine.why(error) if isinstance(engine, UpstreamEngine) else str(error)
        trial.advice = _ADVICE.get(error.problem.name, "")
    except (OSError, ValueError) as error:
        trial.problem = f"No connection to it could be made: {error}"
        trial.advice = "Is it running, and does its address lead there from this machine?"
    return trial


_ADVICE = {
    "engine_rejected": "It took the call and refused it: look at the model's name and at its key.",
    "engine_busy": "It says that it is busy: try again, or give it fewer connections.",
    "engine_timeout": "It is connected and silent: look at what the engine is doing.",
    "engine_failed": "Look into the engine's own log; it may not speak OpenAI's protocol there.",
}


def _us(since: float) -> int:
    return round((asyncio.get_running_loop().time() - since) * 1_000_000)


async def _connect(engine: Engine, trial: Trial) -> None:
    if isinstance(engine, UpstreamEngine):
        began = asyncio.get_running_loop().time()
        await engine.pool.probe()
        trial.connect_us = _us(began)
    elif isinstance(engine, LocalEngine):
        trial.step = "loading the model"
        began = asyncio.get_running_loop().time()
        while (trouble := await engine.check()) is not None:
            if not engine.keeper.is_starting:
                raise NotLoaded(trouble.rstrip("."))
        trial.connect_us = _us(began)
    trial.step = "waiting for the first byte"


async def _ask(engine: Engine, trial: Trial) -> None:
    request = chat_read.read(
        msgspec.json.encode({"model": trial.model, "max_completion_tokens": OUTPUT_TOKENS} | _BODY)
    )
    version = Version(0, "trial", engine.name, trial.model, 0)
    nobody: Callable[[], None] = lambda: None  # noqa: E731 - nobody is charged
    job = Job(secrets.token_hex(16), "trial", request, version, 8, OUTPUT_TOKENS, nobody)
    began = asyncio.get_running_loop().time()
    answer: Answer = engine.start(job)
    try:
        while chunks := await answer.chunks():
            if trial.first_byte_us is None:
                trial.first_byte_us = _us(began)
                trial.step = "reading the answer"
            _read(chunks, trial)
        trial.total_us = _us(began)
        trial.step = "done"
    finally:
        answer.close()


def _read(chunks: list[Chunk], trial: Trial) -> None:
    for chunk in chunks:
        for choice in chunk.choices:
            if isinstance(choice.delta.content, str) and len(trial.text) < SHOWN_CHARACTERS:
                trial.text = (trial.text + choice.delta.content)[:SHOWN_CHARACTERS]


async def try_engine(
    store: SqlStore,
    engine: Engine,
    model: str,
    *,
    actor: Actor,
    now_us: int,
    seconds: float = SECONDS_MAX,
) -> Trial:
    """`attempt`, with its witness in the audit: it costs an upstream's tokens."""
    trial = await attempt(engine, model, seconds)
    told = Tried(
        trial.model,
        trial.is_well,
        trial.step,
        trial.connect_us,
        trial.first_byte_us,
        trial.total_us,
    )
    async with store.writing() as connection:
        await notes.record(
            connection,
            actor,
            now_us,
            action="engine.test",
            target=engine.name,
            before=None,
            after=told,
        )
    return trial
