"""The engine from the environment: `OPENAI_API_KEY` makes an upstream whose models are offered
under their own names, and stands behind `v1` and `v1.1` if it is clear which model is meant (R9).

What a start finds decides, not what an earlier one found: without the environment the aliases that
it had moved go back to this machine's best (`aiming`). An alias that the operator moved by hand
stays, unless `KEYHALL_UPSTREAM_MODEL` says otherwise. An upstream that is down is asked again until
it lists its models. All of it is one transaction, with a line in the audit for each step.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from keyhall.engines.upstream.address import Endpoint, is_own
from keyhall.errors import ApiError
from keyhall.flows.engines.aiming import Aiming
from keyhall.flows.unbroken import unbroken
from keyhall.policy.catalogue import Sampling, Version
from keyhall.policy.secrets import Secret
from keyhall.ports.records import Actor, ModelRecord
from keyhall.ports.store import StoreAway
from keyhall.stores import catalogue as rows
from keyhall.stores.sql import SqlStore

LIST_SECONDS = 3.0  # a start waits no longer for the list of models
RETRY_SECONDS = 15.0
ENVIRONMENT = Actor("operator", "environment")
NONE = Sampling()
CALMER = Sampling(frequency_penalty=0.3, presence_penalty=0.2)
# Families whose tokenizer is known. For plain conversations OpenAI's count is then the one we
# make; tools are rewritten in ways that nobody publishes, so each holds a margin (R8).
_O200K = ("gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "o1", "o3", "o4", "chatgpt-4o")
_CL100K = ("gpt-4", "gpt-3.5")
_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Given:
    name: str
    url: str
    key: Secret


@dataclass(slots=True)
class Offered:
    """What came of an offer. `is_complete`: the models were listed; else ask again later."""

    is_complete: bool = True
    notes: list[str] = field(default_factory=list)


class Lists(Protocol):
    """An engine that can name its models."""

    name: str

    def why(self, error: ApiError) -> str: ...

    async def list_models(self) -> list[str]: ...


class HasModels(Protocol):
    """The engines of this machine: which models can answer here changes while it runs."""

    models: Sequence[ModelRecord]


def from_environment(
    key: Secret | None, url: str, own_url: str, own: Sequence[Endpoint], notes: list[str]
) -> Given | None:
    """The upstream that the environment names, unless it is Keyhall itself."""
    if key is None:
        return None
    if key.reveal().startswith("sk-kh_"):
        notes.append("OPENAI_API_KEY is a key of Keyhall's own and makes no upstream engine.")
        return None
    if is_here(url, own_url, own):
        notes.append("OPENAI_BASE_URL is this server's own address and makes no upstream engine.")
        return None
    asked = _origin(url)
    is_openai = asked is not None and asked[0] == "api.openai.com"
    return Given("openai" if is_openai else "upstream", url, key)


def is_here(url: str, own_url: str, own: Sequence[Endpoint]) -> bool:
    """Whether an address, as it is written, is this server's: one that it listens on, or the one
    that people use. A name that leads here is found out when it is looked up."""
    asked = _origin(url)
    if asked is None:
        return False
    if asked in [_origin(own_url), *(_local(*each) for each in own)]:
        return True
    try:
        return is_own(ip_address(asked[0]), asked[1], own)
    except ValueError:
        return False


def _origin(url: str) -> Endpoint | None:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None  # What is wrong with it is said where it is opened.
    return _local(parts.hostname or "", port)


def _local(host: str, port: int) -> Endpoint:
    return ("127.0.0.1" if host in ("localhost", "::1", "0.0.0.0", "::") else host), port  # noqa: S104 - compared


# --- Offering -------------------------------------------------------------------------------------


async def offer(
    store: SqlStore,
    engine: Lists | None,
    wanted: str,
    now_us: int,
    models: Sequence[ModelRecord] = (),
) -> Offered:
    """Make records for the models of the environment's engine, and aim `v1` and `v1.1`. `wanted`
    is the model that KEYHALL_UPSTREAM_MODEL names, or empty; `models` are those of this machine,
    which answer where no upstream does."""
    offered = Offered()
    listed = await _list(engine, offered) if engine is not None else []
    async with store.writing() as connection:
        there = await rows.load(connection)
        step = Aiming(connection, there, ENVIRONMENT, now_us, offered.notes)
        if engine is None:
            await step.fall_back(models)
        elif offered.is_complete or wanted:
            make = partial(_version, engine.name, now_us)
            if not await _offer(step, engine.name, listed, wanted, make):
                await step.fall_back(models)
    return offered


async def _list(engine: Lists, offered: Offered) -> list[str]:
    try:
        async with asyncio.timeout(LIST_SECONDS):
            return await engine.list_models()
    except TimeoutError:
        said = f"no answer within {LIST_SECONDS:g} s"
    except ApiError as error:
        said = engine.why(error)
    offered.is_complete = False
    offered.notes.append(
        f"Engine {engine.name} does not list its models yet and is asked again every "
        f"{RETRY_SECONDS:g} s: {said.rstrip('.')}."
    )
    return []


async def _offer(
    step: Aiming, engine: str, listed: list[str], wanted: str, make: Callable[..., Version]
) -> bool:
    """Whether one of its models stands behind `v1` now, or may."""
    taken = [each for each in listed if not await step.name(each, engine, partial(make, each))]
    if listed:
        step.say(f"Engine {engine} offers under their own names: {some(listed)}.")
    if taken:
        step.say(f"These names keep their meaning: {some(taken)}.")
    if wanted and wanted not in listed:
        await step.name(wanted, engine, partial(make, wanted))
        if listed:
            step.say(f"It does not list {wanted}, which KEYHALL_UPSTREAM_MODEL names.")
    choice = wanted or (listed[0] if len(listed) == 1 else "")
    if not choice:
        what = "Several could stand behind v1" if listed else f"Engine {engine} lists no models"
        step.say(f"{what}: set KEYHALL_UPSTREAM_MODEL to the one that v1 should call.")
        return False
    plain = await step.record(choice, engine, partial(make, choice))
    calmer = await step.record("v1.1", engine, partial(make, choice, sampling=CALMER))
    if "retired" in (plain.status, calmer.status):
        step.say(f"{plain.name} or {calmer.name} is retired: v1 stays where it is.")
    else:
        await step.aim({"v1": plain, "v1.1": calmer}, is_told=bool(wanted))
    return True


def some(names: Sequence[str], shown_max: int = _SHOWN_MAX) -> str:
    more = len(names) - shown_max
    return ", ".join(names[:shown_max]) + (f" and {more} more" if more > 0 else "")


def _version(engine: str, now_us: int, model: str, name: str, sampling: Sampling = NONE) -> Version:
    version = Version(
        number=0,
        name=name,
        engine=engine,
        engine_model=model,
        created_at_us=now_us,
        sampling=sampling,
        count="estimated",
        owned_by=engine,
    )
    tokenizer = tokenizer_of(model)
    if tokenizer is None:
        return version
    return replace(version, tokenizer=tokenizer, margin_percent=100, fingerprint="")


def tokenizer_of(model: str) -> str | None:
    """The tokenizer of one of OpenAI's families, whoever serves it; None for any other model."""
    bare = model.rpartition("/")[2].removeprefix("ft:")
    if any(bare == family or bare.startswith((f"{family}-", f"{family}.")) for family in _O200K):
        return "o200k_base"
    if any(bare == family or bare.startswith(f"{family}-") for family in _CL100K):
        return "cl100k_base"
    return None


# --- Later ----------------------------------------------------------------------------------------


async def keep_offering(
    store: SqlStore,
    here: HasModels,
    engine: Lists,
    wanted: str,
    now_us: Callable[[], int],
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Ask an upstream that was down at start again and again, until it lists its models."""
    log = logging.getLogger("keyhall")
    while True:
        await wait(RETRY_SECONDS)
        try:
            offered = await unbroken(offer(store, engine, wanted, now_us(), here.models))
        except StoreAway:
            continue
        if offered.is_complete:
            log.info("engine_offered", {"engine": engine.name, "notes": offered.notes})
            return
