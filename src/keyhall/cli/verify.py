"""`keyhall verify`: everything computed again, and what differs."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from keyhall.cli.manage import show
from keyhall.cli.manage.words import counted, stamp
from keyhall.cli.options import fail, load_config
from keyhall.cli.progress import Progress, shown
from keyhall.cli.serving import serving
from keyhall.clock import SystemClock
from keyhall.config import Config
from keyhall.flows.verify import run
from keyhall.flows.verify.findings import Findings
from keyhall.policy.verify.chains import Difference, Head
from keyhall.ports.store import StoreAway
from keyhall.stores.migrate import NothingThere, SchemaUnfit
from keyhall.stores.opening import open_database
from keyhall.stores.sql import SqlStore

TITLE = "# Heads of the chains of"


@click.command()
@click.option("--heads", "prints", is_flag=True,
              help="Print the heads of the chains, to keep them elsewhere.")  # fmt: skip
@click.option("--against", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              metavar="FILE", help="Heads that were kept: are they in the chains?")  # fmt: skip
@click.option("--data", metavar="DIR", help="Data folder.")
@click.option("--config", "path", metavar="FILE", help="Settings file (TOML).")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def verify(
    prints: bool, against: Path | None, data: str | None, path: str | None, as_json: bool
) -> None:
    """Compute everything again from what it was made of, and compare.

    Usage rows against the chains and prices, hours and quotas against the rows, the audit against
    its chain. Works beside a running server, on one snapshot. The exit status is 1 if anything
    differs.
    """
    config = load_config(data, path)
    heads = read_heads(against) if against is not None else []
    try:
        if prints:
            _print_heads(asyncio.run(_heads(config)), config, as_json=as_json)
            return
        with shown(is_wanted=not as_json) as progress:
            found, seconds = asyncio.run(verified(config, heads, progress))
    except (StoreAway, SchemaUnfit) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or config.data}: {error.strerror or error}.")
    if as_json:
        show.as_json(json_of(found, seconds))
    else:
        describe(found, seconds)
    sys.exit(0 if found.is_good else 1)


async def _opened(config: Config) -> SqlStore:
    try:
        return await open_database(config.database.url, config.data, makes=False)
    except NothingThere as error:
        advice = "look at [database] url" if config.database.url else "name its folder with --data"
        fail(f"There is no Keyhall data in {error}: {advice}.")


async def verified(
    config: Config, heads: Sequence[Head], progress: Progress
) -> tuple[Findings, float]:
    """What was found, and the seconds that it took."""
    began = time.monotonic()
    is_served = serving(config.data) is not None
    async with await _opened(config) as store:
        found = await run.verify(
            store, config.data, is_served=is_served, heads=heads, progress=progress
        )
    return found, time.monotonic() - began


# --- Heads ----------------------------------------------------------------------------------------


async def _heads(config: Config) -> list[Head]:
    async with await _opened(config) as store:
        return await store.all_heads()


def _print_heads(heads: Sequence[Head], config: Config, *, as_json: bool) -> None:
    now = stamp(SystemClock().now_us())
    if as_json:
        show.as_json({"at": now, "heads": [msgspec.to_builtins(head) for head in heads]})
        return
    click.echo(f"{TITLE} {config.data}, {now}: writer, sequence, digest.")
    for head in heads:
        click.echo(f"{head.writer} {head.sequence} {head.digest}")


def read_heads(path: Path) -> list[Head]:
    """What `--heads` printed, with or without --json."""
    try:
        text = path.read_text(encoding="utf-8")
        if text.lstrip().startswith("{"):
            return msgspec.convert(msgspec.json.decode(text)["heads"], list[Head])
        lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
        return [Head(writer, int(sequence), digest) for writer, sequence, digest in lines]
    except (ValueError, KeyError, msgspec.MsgspecError) as error:
        fail(f"{path} is not what `keyhall verify --heads` prints: {error}.")


# --- Words ----------------------------------------------------------------------------------------


def describe(found: Findings, seconds: float) -> None:
    for difference in found.differences:
        show.line(line_of(difference))
    if found.differences_more:
        show.line(f"... and {found.differences_more:,} more.")
    if found.differences:
        show.line()
    what = (
        f"{counted(found.rows, 'usage row')} in {counted(found.batches, 'batch', 'batches')} of "
        f"{counted(found.writers, 'writer')}, {counted(found.audit_rows, 'audit row')} with "
        f"{counted(found.anchors, 'anchor')}, {counted(found.quotas, 'quota')} with "
        f"{counted(found.totals, 'total')}, in {seconds:.1f} s"
    )
    if found.is_good:
        show.strong(f"Everything adds up: {what}.")
    else:
        count = len(found.differences) + found.differences_more
        show.line(f"{counted(count, 'difference')} in {what}.")
    for note in found.notes:
        show.line(note)


def line_of(difference: Difference) -> str:
    return (
        f"{difference.check}: {difference.where}: expected {difference.expected}; "
        f"found {difference.found}: {difference.means}."
    )


def json_of(found: Findings, seconds: float) -> dict[str, Any]:
    told = msgspec.to_builtins(found)
    return {
        "ok": found.is_good,
        "seconds": round(seconds, 3),
        **told,
    }
