"""The engine from the environment: `OPENAI_API_KEY` makes an upstream whose models are offered
under their own names, and stands behind `v1` and `v1.1` if it is clear which model is meant (R9).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from keyhall.policy.catalogue import Catalogue, Sampling, Version
from keyhall.policy.secrets import Secret
from keyhall.ports.engine import Engine
from keyhall.ports.records import Actor
from keyhall.stores.sql import SqlStore

LIST_SECONDS = 3.0
FROM_ENVIRONMENT = Actor("operator", "environment")
CALMER = Sampling(frequency_penalty=0.3, presence_penalty=0.2)
# Families whose token counts are known exactly for plain conversations (contract 7.1).
_O200K = ("gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "o1", "o3", "o4", "chatgpt-4o")
_CL100K = ("gpt-4", "gpt-3.5")


@dataclass(frozen=True, slots=True)
class Given:
    name: str
    url: str
    key: Secret


@runtime_checkable
class Lists(Protocol):
    async def list_models(self) -> list[str]: ...


def from_environment(key: Secret | None, url: str, own_url: str, notes: list[str]) -> Given | None:
    """The upstream that the environment names, unless it is Keyhall itself."""
    if key is None:
        return None
    if key.reveal().startswith("sk-kh_"):
        notes.append("OPENAI_API_KEY is a Keyhall key and is not used for an upstream engine.")
        return None
    if _origin(url) == _origin(own_url):
        notes.append("OPENAI_BASE_URL is this server's own address and is not used.")
        return None
    name = "openai" if urlsplit(url).hostname == "api.openai.com" else "upstream"
    return Given(name, url, key)


def _origin(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname in ("localhost", "::1", "0.0.0.0") else parts.hostname
    return host, parts.port or (443 if parts.scheme == "https" else 80)


async def offer(
    store: SqlStore, engines: Mapping[str, Engine], wanted: str, now_us: int, notes: list[str]
) -> None:
    """Make records for the models of the environment's engine, and aim `v1` and `v1.1` at it.

    Without such an engine, aliases that an earlier start aimed at one go back to the sandbox.
    """
    catalogue = await store.load_catalogue()
    engine = engines.get("openai") or engines.get("upstream")
    if engine is None or not isinstance(engine, Lists):
        await _back_to_sandbox(store, catalogue, engines, now_us, notes)
        return
    try:
        async with asyncio.timeout(LIST_SECONDS):
            listed = await engine.list_models()
    except Exception as error:  # Any failure of an upstream is a note, never a failed start.
        listed = [wanted] if wanted else []
        notes.append(f"Engine {engine.name} does not list its models: {error}")
    for model in listed:
        await _named(store, catalogue, model, engine.name, model, Sampling(), now_us)
    choice = wanted or (listed[0] if len(listed) == 1 else "")
    if not choice:
        notes.append(
            f"Engine {engine.name} offers {len(listed)} models under their own names; v1 stays "
            "where it is. Set KEYHALL_UPSTREAM_MODEL to the one that v1 should call."
        )
        return
    plain = await _named(store, catalogue, choice, engine.name, choice, Sampling(), now_us)
    calmer = await _record(store, catalogue, "v1.1", engine.name, choice, CALMER, now_us)
    await _aim(store, catalogue, plain.name, calmer.name, now_us, notes)


async def _back_to_sandbox(
    store: SqlStore,
    catalogue: Catalogue,
    engines: Mapping[str, Engine],
    now_us: int,
    notes: list[str],
) -> None:
    version = catalogue.find("v1")
    if version is None or version.engine in engines or version.engine not in ("openai", "upstream"):
        return
    await _aim(store, catalogue, "v1-sandbox-1", "v1.1-sandbox-1", now_us, notes)


async def _aim(
    store: SqlStore,
    catalogue: Catalogue,
    plain: str,
    calmer: str,
    now_us: int,
    notes: list[str],
) -> None:
    for alias, target in (
        ("v1", plain),
        ("keyhall-v1", plain),
        ("v1.1", calmer),
        ("keyhall-v1.1", calmer),
    ):
        before = catalogue.aliases.get(alias)
        if before != target:
            await store.move_alias(alias, target, FROM_ENVIRONMENT, now_us)
            notes.append(f"{alias} now means {target} (before: {before or 'nothing'}).")


async def _named(
    store: SqlStore,
    catalogue: Catalogue,
    alias: str,
    engine: str,
    model: str,
    sampling: Sampling,
    now_us: int,
) -> Version:
    """A record of that name's own, and the alias that callers use for it."""
    version = await _record(store, catalogue, alias, engine, model, sampling, now_us)
    if catalogue.aliases.get(alias) != version.name:
        await store.move_alias(alias, version.name, FROM_ENVIRONMENT, now_us)
    return version


async def _record(
    store: SqlStore,
    catalogue: Catalogue,
    stem: str,
    engine: str,
    model: str,
    sampling: Sampling,
    now_us: int,
) -> Version:
    """The immutable record `<stem>-<engine>-<n>`: an equal one if it is there, else the next n."""
    number = 0
    while True:
        number += 1
        name = f"{stem}-{engine}-{number}"
        found = catalogue.versions.get(name)
        if found is None:
            tokenizer, count = _counting(model)
            fresh = Version(
                number=0,
                name=name,
                engine=engine,
                engine_model=model,
                created_at_us=now_us,
                sampling=sampling,
                tokenizer=tokenizer,
                count=count,  # type: ignore[arg-type]
                owned_by=engine,
            )
            return await store.add_version(fresh, FROM_ENVIRONMENT, now_us)
        if found.engine_model == model and found.sampling == sampling:
            return found


def _counting(model: str) -> tuple[str, str]:
    """Which tokenizer counts for a model, and whether its count is exact (R8, R12)."""
    if model.startswith(_O200K):
        return "o200k_base", "exact"
    if model.startswith(_CL100K):
        return "cl100k_base", "exact"
    return "o200k_base", "estimated"
