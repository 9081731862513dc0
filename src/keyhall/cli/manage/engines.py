"""`keyhall engines`: the servers that answer. Keys of upstreams stay in the environment."""

from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.flows.manage import engines as manage
from keyhall.ports.records import EngineRecord

EMBEDDED = "sandbox"


@click.group()
def engines() -> None:
    """Add, list and remove the engines that answer."""


def json_of(engine: EngineRecord) -> dict[str, Any]:
    return {
        "name": engine.name,
        "kind": "upstream",
        "url": engine.url,
        "key_env": engine.key_env,
        "created_at": words.stamp(engine.created_at_us),
    }


@engines.command("list")
@options
def list_engines(as_json: bool, where: Where) -> None:
    """List the embedded engine and the upstreams that were added."""

    async def work(house: House) -> tuple[list[EngineRecord], dict[str, str]]:
        return await house.store.list_engines(), house.config.environ

    found, environ = act(where, work)
    if as_json:
        embedded = {"name": EMBEDDED, "kind": "embedded", "url": None, "key_env": None}
        show.as_json([embedded, *(json_of(engine) for engine in found)])
        return
    show.table(
        ("Engine", "Address", "Key from"),
        [
            (EMBEDDED, "embedded; no AI", ""),
            *((engine.name, engine.url, _key_from(engine, environ)) for engine in found),
        ],
    )


def _key_from(engine: EngineRecord, environ: dict[str, str]) -> str:
    if engine.key_env is None:
        return "none"
    is_set = "" if environ.get(engine.key_env) else " (not set in this shell)"
    return f"${engine.key_env}{is_set}"


@engines.command()
@click.argument("name")
@click.option("--url", required=True, help="Its base address, such as http://10.0.0.5:8000/v1.")
@click.option("--key-env", metavar="VARIABLE", help="Environment variable that holds its key.")
@options
def add(name: str, url: str, key_env: str | None, as_json: bool, where: Where) -> None:
    """Add an OpenAI-compatible server. Its key is read from the server's environment."""

    async def work(house: House) -> EngineRecord:
        engine = EngineRecord(name, url, key_env, house.now_us)
        return await manage.add(house.store, engine, **house.by)

    engine = act(where, work, prepares=True)
    if as_json:
        show.as_json(json_of(engine))
        return
    show.line(f"Added {engine.name} at {engine.url}.")
    show.line(
        f"`keyhall versions add NAME --engine {engine.name} --engine-model MODEL` offers one of "
        "its models."
    )


@engines.command()
@click.argument("name")
@options
def remove(name: str, as_json: bool, where: Where) -> None:
    """Remove an engine that no version uses any more."""
    engine = act(where, lambda house: manage.remove(house.store, name, **house.by))
    if as_json:
        show.as_json(json_of(engine))
    else:
        show.line(f"Removed {engine.name} ({engine.url}).")
