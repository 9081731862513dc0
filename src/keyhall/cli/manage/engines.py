"""`keyhall engines`: the servers that answer. Keys of upstreams stay in the environment."""

import logging
from dataclasses import asdict
from typing import Any

import click

from keyhall.cli.manage import show, words
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.options import fail
from keyhall.flows.engines.run_engines import Engines
from keyhall.flows.engines.try_engine import SECONDS_MAX, Trial, try_engine
from keyhall.flows.manage import engines as manage
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.models.house import all_models
from keyhall.policy.catalogue import status_at
from keyhall.ports.records import EngineRecord, ModelRecord

EMBEDDED = "sandbox"
LOADING_SECONDS = 600.0  # Large files on slow disks take minutes.


@click.group()
def engines() -> None:
    """Add, list, test, drain and remove the engines that answer."""


def json_of(engine: EngineRecord) -> dict[str, Any]:
    return {
        "name": engine.name,
        "kind": "upstream",
        "url": engine.url,
        "key_env": engine.key_env,
        "created_at": words.stamp(engine.created_at_us),
        "drained_at": words.stamp(engine.drained_at_us),
    }


@engines.command("list")
@options
def list_engines(as_json: bool, where: Where) -> None:
    """List the embedded engine, the upstreams and the models of this machine."""

    async def work(house: House) -> tuple[list[EngineRecord], list[ModelRecord], dict[str, str]]:
        store = house.store
        models = await all_models(store, house.config)
        return await store.list_engines(), models, house.config.environ

    found, models, environ = act(where, work)
    if as_json:
        embedded = {"name": EMBEDDED, "kind": "embedded", "url": None, "key_env": None}
        added = [json_of(engine) for engine in found]
        show.as_json([embedded, *added, *(_json_of_model(model) for model in models)])
        return
    show.table(
        ("Engine", "Address", "Key from", ""),
        [
            (EMBEDDED, "embedded; no AI", "", ""),
            *(
                (
                    engine.name,
                    engine.url,
                    _key_from(engine, environ),
                    "drained" if engine.drained_at_us else "",
                )
                for engine in found
            ),
            *((model.name, f"this machine, {model.path}", "", "") for model in models),
        ],
    )


def _json_of_model(model: ModelRecord) -> dict[str, Any]:
    return {"name": model.name, "kind": "local", "url": None, "key_env": None, "path": model.path}


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


@engines.command()
@click.argument("name")
@options
def drain(name: str, as_json: bool, where: Where) -> None:
    """Send an engine no new requests: fallbacks answer, or callers are told to come again."""
    engine = act(where, lambda house: manage.drain(house.store, name, **house.by))
    if as_json:
        show.as_json(json_of(engine))
    else:
        show.line(f"{engine.name} gets no new requests. `keyhall engines resume {engine.name}`.")


@engines.command()
@click.argument("name")
@options
def resume(name: str, as_json: bool, where: Where) -> None:
    """Send a drained engine requests again."""
    engine = act(where, lambda house: manage.resume(house.store, name, **house.by))
    if as_json:
        show.as_json(json_of(engine))
    else:
        show.line(f"{engine.name} gets requests again.")


@engines.command()
@click.argument("name")
@click.option(
    "--model",
    help="By the name that the engine knows it by.  [that of its first version]",
)
@options
def test(name: str, model: str | None, as_json: bool, where: Where) -> None:
    """Make one live call of a few tokens, with its timings. An upstream may charge it."""

    trial = act(where, lambda house: tried(house, name, model))
    tell(trial, as_json=as_json)


async def tried(house: House, name: str, model: str | None) -> Trial:
    """One live call of an engine that is made for it. Of models only the one that is meant is
    loaded; beside a running server, a second time."""
    logging.getLogger("keyhall").addHandler(logging.NullHandler())  # The trial says it, in words.
    server = house.config.server
    known = await all_models(house.store, house.config)
    models = [each for each in known if each.name == name]
    made = Engines(house.config, url=server.url or f"http://{server.host}:{server.port}")
    try:
        made.refresh(await house.store.list_engines(), models)
        engine = made.table.get(name)
        if engine is None:
            why = next((note for note in made.left_out if f" {name} " in note), "")
            raise NotFound(f"No engine {name}. {why or '`keyhall engines list` shows them.'}")
        wanted = model or (name if models else await _a_model(house, name))
        seconds = LOADING_SECONDS if models else SECONDS_MAX
        return await try_engine(house.store, engine, wanted, seconds=seconds, **house.by)
    finally:
        await made.close()


def tell(trial: Trial, *, as_json: bool, connected: str = "Connect") -> None:
    """How far it came, and status 1 if not to the end."""
    if as_json:
        show.as_json(asdict(trial) | {"is_well": trial.is_well})
    elif trial.connect_us is not None or trial.is_well:
        show.facts(
            (
                (connected, _millis(trial.connect_us)),
                ("First byte", _millis(trial.first_byte_us)),
                ("Whole answer", _millis(trial.total_us)),
                ("Said", trial.text),
            )
        )
    if not trial.is_well:
        problem = trial.problem.rstrip(".")
        fail(f"{trial.engine} did not answer, {trial.step}: {problem}. {trial.advice}".strip())


async def _a_model(house: House, engine: str) -> str:
    """What a version that still answers calls it there."""
    catalogue = await house.store.load_catalogue()
    for each in catalogue.versions.values():
        if each.engine == engine and status_at(each, house.now_us) != "retired":
            return each.engine_model
    raise Invalid(f"No version uses {engine} yet: name one of its models with --model.")


def _millis(us: int | None) -> str:
    return "" if us is None else f"{us / 1000:,.1f} ms"
