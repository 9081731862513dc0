"""`keyhall models`: files with a model in them, from which this machine answers by itself."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import click

from keyhall.cli.manage import show
from keyhall.cli.manage.models import text
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.progress import shown
from keyhall.clock import SystemClock
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.models import files, manage, memory
from keyhall.flows.models.files import Seen, State
from keyhall.flows.models.manage import Added, Removed
from keyhall.flows.models.memory import Memory
from keyhall.policy.catalogue import Version
from keyhall.ports.records import ModelRecord

SLOTS = 4
SLOT_CONTEXT = 4096
FOLDER = "models"  # in the data folder: what was pulled
NOT_INSTALLED = (
    "The server cannot run it yet: its engine is not installed. `pip install 'keyhall[local]'`"
)


@click.group()
def models() -> None:
    """Add, pull, list and remove models in files (GGUF), which this machine runs itself.

    \b
    keyhall models add ./Qwen3-0.6B-Q4_K_M.gguf --name qwen3
    keyhall models pull Qwen/Qwen3-0.6B-GGUF
    keyhall aliases move v1 qwen3

    Needs no graphics card and, but for `pull`, no network.
    """


class Asked(TypedDict):
    """How a model is to be run."""

    name: str | None
    slots: int
    context: int | None
    threads: int | None
    share_prefixes: bool
    yes: bool


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--yes", is_flag=True, help="Add it even if memory may not suffice."),
        click.option(
            "--share-prefixes",
            is_flag=True,
            help="One organization's cached prompts may serve another: faster; who measures times "
            "can guess what was asked before.",
        ),
        click.option("--threads", type=int, help="Of the processor.  [as the machine has]"),
        click.option(
            "--context",
            type=int,
            metavar="TOKENS",
            help="Of one request, prompt and answer.  [4096, or what it was trained for]",
        ),
        click.option("--slots", default=SLOTS, show_default=True, help="Requests at a time."),
        click.option("--name", help="What callers ask for.  [of the file's name]"),
    ):
        command = option(command)
    return command


@models.command()
@click.argument("file", type=click.Path(path_type=Path))
@run_options
@options
def add(file: Path, as_json: bool, where: Where, **asked: Any) -> None:
    """Add a model FILE (GGUF). It stays where it is; its SHA-256 is pinned.

    \b
    keyhall models add ./Qwen3-0.6B-Q4_K_M.gguf --name qwen3
    keyhall models add /models/llama.gguf --slots 8 --context 8192

    Makes a version, NAME-1, and an alias, NAME. A running server answers from it at once.
    """
    add_file(file, Asked(**asked), where, as_json=as_json)  # type: ignore[typeddict-item]


def add_file(file: Path, asked: Asked, where: Where, *, as_json: bool) -> None:
    """Look at a file, tell what it is, add it, and tell what follows."""

    async def work(house: House) -> tuple[Added, Memory]:
        name = asked["name"] or files.name_for(file)
        await manage.check_free(house.store, name)
        seen = files.look(file)
        draft = _record(name, seen, asked)
        manage.check(draft)
        needs = memory.needed(seen.header, seen.size, draft.slots, draft.slot_context)
        has = memory.of_machine()
        if not as_json:
            text.describe_file(seen)
            ways = (("Runs with", text.slots(draft)), ("Memory", text.memory(needs, has)))
            show.facts(ways, text.WIDTH)
        _warn(needs, has, yes=asked["yes"])
        with shown(is_wanted=not as_json, is_bytes=True) as progress:
            seen, digest = files.look_and_hash(file, progress)
        model = _record(name, seen, asked, digest, SystemClock().now_us())
        added = await manage.add(house.store, model, can_run=files.can_run(), **house.by)
        return added, needs

    added, needs = act(where, work, prepares=True)
    if as_json:
        show.as_json(
            text.json_of(added.model, files.state_of(added.model), [added.version])
            | {
                "alias": added.alias.name,
                "memory": needs.total,
                "can_run": files.can_run(),
                "notes": added.notes,
            }
        )
        return
    name = added.model.name
    show.facts((("SHA-256", added.model.sha256),), text.WIDTH)
    show.line()
    show.strong(f"Added {name}, and its version {added.version.name}.")
    show.line(f'Callers ask for "model": "{name}" with any key that may use it.')
    for note in added.notes:
        show.line(note)
    if not added.notes:
        show.line(f"`keyhall aliases move v1 {name}` lets v1 answer from it.")
    show.line(f"It costs nothing until `keyhall versions price {name}` says otherwise.")
    if not files.can_run():
        show.line(NOT_INSTALLED)


def _record(
    name: str, seen: Seen, asked: Asked, digest: str = "", created_at_us: int = 0
) -> ModelRecord:
    header = seen.header
    usual = min(header.context, SLOT_CONTEXT) if header.context else SLOT_CONTEXT
    return ModelRecord(
        name=name,
        path=str(seen.path),
        sha256=digest,
        size=seen.size,
        architecture=header.architecture,
        parameters=header.parameters,
        context=header.context,
        has_template=bool(header.template),
        slots=asked["slots"],
        slot_context=usual if asked["context"] is None else asked["context"],
        threads=asked["threads"],
        shares_prefixes=asked["share_prefixes"],
        created_at_us=created_at_us,
    )


def _warn(needs: Memory, has: int, *, yes: bool) -> None:
    """Of a machine that is too small; somebody who watches may decide, nobody else is asked."""
    if needs.total <= has or yes:
        return
    says = (
        f"It may need {text.size(needs.total)} of memory and this machine has {text.size(has)}: "
        "give it fewer --slots or less --context, or take a smaller file."
    )
    if not sys.stdin.isatty():
        raise Invalid(f"{says} --yes adds it anyway.")
    click.confirm(f"{says}\nAdd it anyway?", abort=True, err=True)


@models.command("list")
@options
def list_models(as_json: bool, where: Where) -> None:
    """List the models, and how their files do."""

    async def work(house: House) -> list[tuple[ModelRecord, State, list[Version]]]:
        found = await manage.list_all(house.store, house.now_us)
        return [(model, files.state_of(model), versions) for model, versions in found]

    found = act(where, work)
    if as_json:
        show.as_json([text.json_of(*each) for each in found])
        return
    if not found:
        show.line("No models yet. `keyhall models add FILE` adds one.")
        return
    show.table(
        (
            "Model",
            ("File", "wrap"),
            ("Size", "right"),
            "Architecture",
            ("Context", "right"),
            ("Slots", "right"),
            "Versions",
            "State",
        ),
        [
            (
                model.name,
                model.path,
                text.size(model.size),
                model.architecture,
                f"{model.slot_context:,}",
                str(model.slots),
                ", ".join(version.name for version in versions),
                text.STATES[state],
            )
            for model, state, versions in found
        ],
    )


@models.command("show")
@click.argument("name")
@click.option("--verify", is_flag=True, help="Compute its SHA-256 again, and compare.")
@options
def show_model(name: str, verify: bool, as_json: bool, where: Where) -> None:
    """Show everything about a model.

    \b
    keyhall models show qwen3 --verify
    """

    async def work(house: House) -> tuple[ModelRecord, list[Version]]:
        return await manage.find(house.store, name, house.now_us)

    model, versions = act(where, work)
    state = files.state_of(model)
    if verify and state in ("ok", "touched"):
        with shown(is_wanted=not as_json, is_bytes=True) as progress:
            digest = act(where, lambda _house: _hash(model, progress))
        state = "ok" if digest == model.sha256 else "changed"
    if as_json:
        show.as_json(text.json_of(model, state, versions) | {"is_verified": verify})
    else:
        text.describe(model, state, versions)
        if verify and state == "ok":
            show.line("\nIts SHA-256 is still the one that was pinned.")
    if verify and state != "ok":
        sys.exit(1)


async def _hash(model: ModelRecord, progress: files.Progress) -> str:
    return files.hash_of(Path(model.path), progress)


@models.command()
@click.argument("name")
@click.option("--use", metavar="VERSION", help="Retire its versions; callers are told to use this.")
@click.option("--delete-file", is_flag=True, help="Delete what was pulled, too.")
@options
def remove(name: str, use: str | None, delete_file: bool, as_json: bool, where: Where) -> None:
    """Remove a model that no version needs any more. Its file stays.

    \b
    keyhall models remove qwen3 --use v1 --delete-file
    """

    async def work(house: House) -> tuple[Removed, bool]:
        folder = house.config.data / FOLDER
        if delete_file:
            model, _ = await manage.find(house.store, name, house.now_us)
            files.check_pulled(Path(model.path), folder)
        removed = await manage.remove(house.store, name, use=use, **house.by)
        others = [model.path for model, _ in await manage.list_all(house.store, house.now_us)]
        is_deleted = delete_file and removed.model.path not in others
        if is_deleted:
            files.delete(Path(removed.model.path), folder)
        return removed, is_deleted

    removed, is_deleted = act(where, work)
    model, retired = removed.model, removed.retired
    if as_json:
        told = text.json_of(model, files.state_of(model), [])
        show.as_json(
            told
            | {
                "retired": [each.name for each in retired],
                "aliases": removed.aliases,
                "file_deleted": is_deleted,
            }
        )
        return
    if retired:
        names = ", ".join(each.name for each in retired)
        show.line(f"Retired {names}: callers are told to use {use}.{_refused(removed.aliases)}")
    file = f"Deleted {model.path}" if is_deleted else f"Its file stays: {model.path}"
    show.line(f"Removed {model.name}. {file}.")
    if delete_file and not is_deleted:
        show.line("Another model is in the same file.")


def _refused(aliases: list[str]) -> str:
    if not aliases:
        return ""
    names = ", ".join(aliases)
    return f" That holds for {names} too, until `keyhall aliases move` gives another meaning."
