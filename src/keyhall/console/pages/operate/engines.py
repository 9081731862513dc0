"""Engines: who answers, how they do as this process sees it, and a live test."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from keyhall.console import given
from keyhall.console.context import Ask
from keyhall.console.gate import Page
from keyhall.engines.upstream.engine import UpstreamEngine
from keyhall.flows.engines.try_engine import SECONDS_MAX, Trial, try_engine
from keyhall.flows.manage import engines as manage
from keyhall.flows.manage.checks import NotFound, Refused
from keyhall.flows.models import house
from keyhall.policy.catalogue import Catalogue, needing
from keyhall.ports.engine import Engine
from keyhall.ports.records import EngineRecord, ModelRecord
from keyhall.stores import catalogue as rows
from keyhall.stores import models as model_rows
from keyhall.stores.operate import traffic
from keyhall.stores.operate.traffic import Failures

SANDBOX = "sandbox"
LATELY_US = 15 * 60_000_000
TAKEN_UP_US = 5_000_000  # an engine that was added is used within a second or so


Record = EngineRecord | ModelRecord


@dataclass(frozen=True, slots=True)
class Shown:
    """An engine as it is added, and as it does in this process."""

    name: str
    kind: str  # embedded, added, environment, model
    url: str  # of a model, where its file is
    key_env: str | None
    has_key: bool
    drained_at_us: int | None
    state: str  # good, warn, bad
    says: str
    versions: tuple[str, ...]
    models: tuple[str, ...]  # as the engine calls them
    lately: Failures


async def show(ask: Ask) -> Response:
    return await _page(ask)


async def _page(ask: Ask, error: Refused | None = None, trial: Trial | None = None) -> Response:
    hall = ask.console.hall
    async with ask.store.reading() as connection:
        added: list[Record] = [*await rows.list_engines(connection)]
        added += await model_rows.list_models(connection)
        own = house.of(ask.console.config)
        records: dict[str, Record] = {own.name: own} if own is not None else {}
        records |= {each.name: each for each in added}
        catalogue = await rows.load(connection)
        names = [SANDBOX, *sorted({*records, *hall.engines} - {SANDBOX})]
        shown = [
            await _shown(ask, connection, name, records.get(name), catalogue) for name in names
        ]
    return ask.page(
        "operate/engines.html",
        400 if error else 200,
        shown=shown,
        trial=trial,
        seconds=SECONDS_MAX,
        form=given.sent(ask, name="", url="", key_env=""),
        faults=given.faults_of(error),
    )


async def _shown(
    ask: Ask,
    connection: AsyncConnection,
    name: str,
    record: Record | None,
    catalogue: Catalogue,
) -> Shown:
    engine = ask.console.hall.engines.get(name)
    mine = needing(catalogue, name, ask.now_us)
    versions = tuple(each.name for each in mine)
    lately = await traffic.failures_of(connection, versions, ask.now_us - LATELY_US)
    environ = ask.console.config.environ
    state, says = _health(ask, name, engine, record)
    added = record if isinstance(record, EngineRecord) else None
    url = added.url if added else record.path if isinstance(record, ModelRecord) else ""
    if not url and isinstance(engine, UpstreamEngine):
        url = str(engine.address)
    return Shown(
        name=name,
        kind=_kind(name, record),
        url=url,
        key_env=added.key_env if added else None,
        has_key=bool(added and added.key_env and environ.get(added.key_env)),
        drained_at_us=added.drained_at_us if added else None,
        state=state,
        says=says,
        versions=versions,
        models=tuple(dict.fromkeys(each.engine_model for each in mine)),
        lately=lately,
    )


def _kind(name: str, record: Record | None) -> str:
    if isinstance(record, ModelRecord):
        return "model"
    return "embedded" if name == SANDBOX else "added" if record else "environment"


def _health(ask: Ask, name: str, engine: Engine | None, record: Record | None) -> tuple[str, str]:
    """What this process knows without asking the engine anything."""
    breakers = ask.console.hall.breakers
    if engine is None:
        if record is not None and ask.now_us - record.created_at_us < TAKEN_UP_US:
            return "warn", "Just added: the server takes it up in a moment. Load this page again."
        return "bad", "This server cannot use it: its start said why, and so does `keyhall doctor`."
    if isinstance(record, EngineRecord) and record.drained_at_us is not None:
        return "warn", "Drained: no new requests go to it; fallbacks answer where there are some."
    trouble = breakers.trouble(engine, ask.now_us)
    if trouble is not None:
        return "bad", f"Left alone: {trouble}."
    connection = engine.trouble if isinstance(engine, UpstreamEngine) else None
    if connection is not None:
        return "warn", f"Its last connection failed: {connection}."
    return "good", "Requests go to it." if name != SANDBOX else "Embedded, no AI: always there."


def _engine(ask: Ask) -> Engine:
    found = ask.console.hall.engines.get(ask.path("engine"))
    if found is None:
        raise NotFound(f"This server has no engine {ask.path('engine')}.")
    return found


async def test(ask: Ask) -> Response:
    engine = _engine(ask)
    try:
        trial = await try_engine(ask.store, engine, ask.text("model"), **ask.by)
    except Refused as error:
        trial = Trial(engine.name, ask.text("model"), problem=str(error))
    if ask.is_partial:
        return ask.page("operate/trial.html", trial=trial)
    return await _page(ask, trial=trial)


async def add(ask: Ask) -> Response:
    record = EngineRecord(
        ask.text("name").strip(),
        ask.text("url").strip(),
        ask.text("key_env").strip() or None,
        ask.now_us,
    )
    try:
        made = await manage.add(ask.store, record, **ask.by)
    except Refused as error:
        return await _page(ask, given.Fault(_field(str(error)), str(error)))
    said = f"Added {made.name}. The server uses it in a moment; test it, then add a version."
    return ask.go("/engines", said)


def _field(said: str) -> str:
    """The field that a refusal is about, by how it begins."""
    if said.startswith("--key-env"):
        return "key_env"
    return "url" if "://" in said.partition(": ")[0] else "name"


async def remove(ask: Ask) -> Response:
    gone = await manage.remove(ask.store, ask.path("engine"), **ask.by)
    return ask.go("/engines", f"Removed {gone.name}. What it has under way ends in peace.")


async def drain(ask: Ask) -> Response:
    found = await manage.drain(ask.store, ask.path("engine"), **ask.by)
    return ask.go("/engines", f"{found.name} gets no new requests; those under way end in peace.")


async def resume(ask: Ask) -> Response:
    found = await manage.resume(ask.store, ask.path("engine"), **ask.by)
    return ask.go("/engines", f"{found.name} gets requests again.")


ROUTES = (
    Page("GET", "/engines", show, "operate"),
    Page("POST", "/engines", add, "operate"),
    Page("POST", "/engines/{engine}/test", test, "operate"),
    Page("POST", "/engines/{engine}/drain", drain, "operate"),
    Page("POST", "/engines/{engine}/resume", resume, "operate"),
    Page("POST", "/engines/{engine}/remove", remove, "operate"),
)
