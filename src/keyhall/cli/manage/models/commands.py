"""`keyhall models`: files with a model in them, from which this machine answers by itself."""

import sys
from pathlib import Path
from typing import Unpack

import click

from keyhall.cli.manage import engines, show
from keyhall.cli.manage.models import adding, text
from keyhall.cli.manage.models.pull import FOLDER, pull
from keyhall.cli.manage.open import House, Where, act, options
from keyhall.cli.progress import shown
from keyhall.flows.engines.try_engine import Trial
from keyhall.flows.models import files, manage
from keyhall.flows.models import house as own
from keyhall.flows.models.files import State
from keyhall.flows.models.manage import Removed
from keyhall.policy.catalogue import Version
from keyhall.ports.records import ModelRecord


@click.group()
def models() -> None:
    """Add, pull, list and remove models in files (GGUF), which this machine runs itself.

    \b
    keyhall models add ./Qwen3-0.6B-Q4_K_M.gguf --name qwen3
    keyhall models pull Qwen/Qwen3-0.6B-GGUF
    keyhall aliases move v1 qwen3

    Needs no graphics card and, but for `pull`, no network.
    """


@models.command()
@click.argument("file", type=click.Path(path_type=Path))
@adding.run_options
@options
def add(file: Path, as_json: bool, where: Where, **asked: Unpack[adding.Asked]) -> None:
    """Add a model FILE (GGUF). It stays where it is; its SHA-256 is pinned.

    \b
    keyhall models add ./Qwen3-0.6B-Q4_K_M.gguf --name qwen3
    keyhall models add /models/llama.gguf --slots 8 --context 8192

    Makes a version, NAME-1, and an alias, NAME. A running server answers from it at once.
    """
    adding.add_file(file, asked, where, as_json=as_json)


models.add_command(pull)


@models.command("list")
@options
def list_models(as_json: bool, where: Where) -> None:
    """List the models, and how their files do."""

    async def work(house: House) -> list[tuple[ModelRecord, State, list[Version]]]:
        found = await manage.list_all(house.store, house.now_us, own.of(house.config))
        return [(model, own.state(model), versions) for model, versions in found]

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
        return await manage.find(house.store, name, house.now_us, own.of(house.config))

    model, versions = act(where, work)
    state = own.state(model)
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
@options
def test(name: str, as_json: bool, where: Where) -> None:
    """Load a model as the server does, and let it answer a few tokens, with timings.

    Beside a running server this is a second copy of it in memory.
    """

    async def work(house: House) -> Trial:
        await manage.find(house.store, name, house.now_us, own.of(house.config))
        return await engines.tried(house, name, name)

    engines.tell(act(where, work), as_json=as_json, connected="Load")


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
        removed = await manage.remove(
            house.store, name, use=use, own=own.of(house.config), **house.by
        )
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
