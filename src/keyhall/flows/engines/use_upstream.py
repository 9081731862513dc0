"""The engine from the environment: `OPENAI_API_KEY` makes an upstream whose models are offered
under their own names, and stands behind `v1` and `v1.1` if it is clear which model is meant (R9).

What a start finds decides, not what an earlier one found: without the environment the aliases that
it had moved go back to the sandbox. An alias that the operator moved by hand stays, unless
`KEYHALL_UPSTREAM_MODEL` says otherwise. An upstream that is down is asked again until it lists its
models. All of it is one transaction, with a line in the audit for each step.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncConnection

from keyhall.engines.upstream.address import Endpoint, is_own
from keyhall.errors import ApiError
from keyhall.flows.unbroken import unbroken
from keyhall.policy.catalogue import Catalogue, Sampling, Version
from keyhall.policy.secrets import Secret
from keyhall.ports.records import Actor
from keyhall.ports.store import StoreAway
from keyhall.stores import catalogue as rows
from keyhall.stores.sql import SqlStore

NAMES = ("openai", "upstream")  # what the environment's engine is called
LIST_SECONDS = 3.0  # a start waits no longer for the list of models
RETRY_SECONDS = 15.0
ENVIRONMENT = Actor("operator", "environment")
CALMER = Sampling(frequency_penalty=0.3, presence_penalty=0.2)
# What the aliases of the hall mean without an upstream, in the order in which notes name them.
EMBEDDED = {
    "v1": "v1-sandbox-1",
    "keyhall-v1": "v1-sandbox-1",
    "v1.1": "v1.1-sandbox-1",
    "keyhall-v1.1": "v1.1-sandbox-1",
}
# Who moved an alias that may be moved again without asking.
_OURS = ("start", "environment")
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


async def offer(store: SqlStore, engine: Lists | None, wanted: str, now_us: int) -> Offered:
    """Make records for the models of the environment's engine, and aim `v1` and `v1.1`. `wanted`
    is the model that KEYHALL_UPSTREAM_MODEL names, or empty."""
    offered = Offered()
    listed = await _list(engine, offered) if engine is not None else []
    async with store.writing() as connection:
        step = _Step(connection, await rows.load(connection), now_us, offered.notes)
        if engine is None:
            await step.aim_back()
        elif offered.is_complete or wanted:
            await _offer(step, engine.name, listed, wanted)
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


async def _offer(step: "_Step", engine: str, listed: list[str], wanted: str) -> None:
    taken = [model for model in listed if not await step.name(model, engine)]
    if listed:
        step.say(f"Engine {engine} offers under their own names: {some(listed)}.")
    if taken:
        step.say(f"These names keep their meaning: {some(taken)}.")
    if wanted and wanted not in listed:
        await step.name(wanted, engine)
        if listed:
            step.say(f"It does not list {wanted}, which KEYHALL_UPSTREAM_MODEL names.")
    choice = wanted or (listed[0] if len(listed) == 1 else "")
    if choice:
        plain = await step.record(choice, engine, choice, Sampling())
        calmer = await step.record("v1.1", engine, choice, CALMER)
        if "retired" in (plain.status, calmer.status):
            step.say(f"{plain.name} or {calmer.name} is retired: v1 stays where it is.")
        else:
            await step.aim({"v1": plain, "v1.1": calmer}, is_told=bool(wanted))
        return
    await step.aim_back()
    what = "Several could stand behind v1" if listed else f"Engine {engine} lists no models"
    step.say(f"{what}: set KEYHALL_UPSTREAM_MODEL to the one that v1 should call.")


def some(names: Sequence[str], shown_max: int = _SHOWN_MAX) -> str:
    more = len(names) - shown_max
    return ", ".join(names[:shown_max]) + (f" and {more} more" if more > 0 else "")


class _Step:
    """One transaction that makes records and moves aliases."""

    def __init__(
        self, connection: AsyncConnection, there: Catalogue, now_us: int, notes: list[str]
    ) -> None:
        self._connection = connection
        self._versions = dict(there.versions)
        self._aliases = dict(there.aliases)
        self._now_us = now_us
        self._notes = notes

    def say(self, note: str) -> None:
        self._notes.append(note)

    async def name(self, model: str, engine: str) -> bool:
        """Offer a model under its own name; False if that name means something else already."""
        meant = self._aliases.get(model)
        if model in self._versions or (meant and self._versions[meant].engine not in NAMES):
            return False
        version = await self.record(model, engine, model, Sampling())
        if meant == version.name:
            return True
        if meant is not None and not await self._is_ours(model):
            return False
        await self._move(model, version.name)
        return True

    async def record(self, stem: str, engine: str, model: str, sampling: Sampling) -> Version:
        """The immutable record `<stem>-<engine>-<n>`: the equal one that is there, else a new one
        with the next n."""
        number = 1
        while True:
            fresh = _version(f"{stem}-{engine}-{number}", engine, model, sampling, self._now_us)
            found = self._versions.get(fresh.name)
            if found is None:
                stored = await rows.enter_version(
                    self._connection, fresh, ENVIRONMENT, self._now_us
                )
                self._versions[stored.name] = stored
                return stored
            if found.fingerprint == fresh.fingerprint:
                return found
            number += 1

    async def aim(self, targets: Mapping[str, Version], *, is_told: bool) -> None:
        """Aim `v1`, `v1.1` and their long names. `is_told`: even what was moved by hand."""
        for alias, version in targets.items():
            names = (alias, f"keyhall-{alias}")
            await self._aim(dict.fromkeys(names, version.name), is_told=is_told)

    async def aim_back(self) -> None:
        """Whatever an earlier start had aimed at the environment's engine means the sandbox."""
        ours = {
            alias: target
            for alias, target in EMBEDDED.items()
            if self._means(alias).engine in NAMES
        }
        await self._aim(ours, is_told=False)

    def _means(self, alias: str) -> Version:
        return self._versions[self._aliases.get(alias, EMBEDDED[alias])]

    async def _aim(self, targets: Mapping[str, str], *, is_told: bool) -> None:
        moved: dict[tuple[str, str], list[str]] = {}
        for alias, target in targets.items():
            before = self._aliases.get(alias, "nothing")
            if before == target:
                continue
            if not is_told and not await self._is_ours(alias):
                self.say(f"{alias} keeps meaning {before}, where it was moved by hand.")
                continue
            await self._move(alias, target)
            moved.setdefault((target, before), []).append(alias)
        for (target, before), aliases in moved.items():
            verb = "means" if len(aliases) == 1 else "mean"
            self.say(f"{' and '.join(aliases)} now {verb} {target} (before: {before}).")

    async def _is_ours(self, alias: str) -> bool:
        return await rows.alias_moved_from(self._connection, alias) in _OURS

    async def _move(self, alias: str, target: str) -> None:
        await rows.aim(self._connection, alias, target, ENVIRONMENT, self._now_us)
        self._aliases[alias] = target


def _version(name: str, engine: str, model: str, sampling: Sampling, now_us: int) -> Version:
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
            offered = await unbroken(offer(store, engine, wanted, now_us()))
        except StoreAway:
            continue
        if offered.is_complete:
            log.info("engine_offered", {"engine": engine.name, "notes": offered.notes})
            return
