"""Adding a file as a model, with what people see of it: for `add` and for `pull`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import click

from keyhall.cli.manage import show
from keyhall.cli.manage.models import text
from keyhall.cli.manage.open import House, Where, act
from keyhall.cli.progress import shown
from keyhall.clock import SystemClock
from keyhall.engines.local import process
from keyhall.flows.manage.checks import Invalid
from keyhall.flows.models import files, manage, memory
from keyhall.flows.models.files import Seen
from keyhall.flows.models.manage import Added
from keyhall.flows.models.memory import Memory
from keyhall.ports.records import ModelRecord

SLOTS = 4
SLOT_CONTEXT = 4096
INSTALL = "pip install 'keyhall[local]'"
NOT_INSTALLED = f"The server cannot run it yet: its engine is not installed. {INSTALL}"


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
            help="Keep what was computed of prompts, for all organizations: faster where prompts "
            "begin alike; who measures times can guess what others asked.",
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


def add_file(
    file: Path, asked: Asked, where: Where, *, as_json: bool, digest: str | None = None
) -> None:
    """Look at a file, tell what it is, add it, and tell what follows. `digest` is its SHA-256 if
    that was just computed."""

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
        pinned = digest
        if pinned is None:
            with shown(is_wanted=not as_json, is_bytes=True) as progress:
                seen, pinned = files.look_and_hash(file, progress)
        model = _record(name, seen, asked, pinned, SystemClock().now_us())
        added = await manage.add(house.store, model, can_run=process.can_run(), **house.by)
        return added, needs

    added, needs = act(where, work, prepares=True)
    if as_json:
        show.as_json(
            text.json_of(added.model, files.state_of(added.model), [added.version])
            | {
                "alias": added.alias.name,
                "memory": needs.total,
                "can_run": process.can_run(),
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
    if not process.can_run():
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
