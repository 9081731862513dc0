"""`keyhall backup` and `keyhall restore`: the data folder in one file, and back."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from keyhall.cli.manage import show
from keyhall.cli.manage.words import counted, stamp
from keyhall.cli.options import fail, load_config
from keyhall.cli.progress import shown
from keyhall.cli.verify import describe, json_of, verified
from keyhall.clock import SystemClock
from keyhall.config import Config
from keyhall.flows.backup import put_back, take
from keyhall.flows.backup.archive import Manifest
from keyhall.flows.backup.put_back import PutBack
from keyhall.flows.backup.take import DATABASE, PEPPER, Taken
from keyhall.flows.manage.checks import Refused
from keyhall.parts import HallBusy, locked
from keyhall.ports.store import StoreAway
from keyhall.stores.migrate import SchemaUnfit


@click.command()
@click.argument("target", metavar="FILE|DIR", type=click.Path(path_type=Path))
@click.option("--with-pepper", is_flag=True,
              help="Put the pepper in too: then the file is a secret.")  # fmt: skip
@click.option("--data", metavar="DIR", help="Data folder.")
@click.option("--config", "path", metavar="FILE", help="Settings file (TOML).")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def backup(
    target: Path, with_pepper: bool, data: str | None, path: str | None, as_json: bool
) -> None:
    """Copy the data folder into one file, at any moment, beside a running server.

    The database as it is at one instant, and what is in flight. In a folder, the file is named by
    the time. The pepper stays out unless asked for: keep it elsewhere.
    """
    config = _of_a_file(data, path)
    if not (config.data / DATABASE).exists():
        fail(f"There is no Keyhall data in {config.data}: name its folder with --data.")
    if with_pepper and not (config.data / PEPPER).exists():
        fail(f"There is no {config.data / PEPPER} to put in.")
    now_us = SystemClock().now_us()
    try:
        file = take.target_of(target, _stamp(now_us))
        with shown(is_wanted=not as_json) as progress:
            taken = take.take(
                config.data, file, now_us=now_us, with_pepper=with_pepper, progress=progress
            )
    except Refused as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or target}: {error.strerror or error}.")
    if as_json:
        show.as_json(_taken_json(taken))
    else:
        _describe_taken(taken, config)


def _of_a_file(data: str | None, path: str | None) -> Config:
    """The settings of a hall that is kept in a file."""
    config = load_config(data, path)
    if config.database.url:
        fail(
            "This hall is kept in PostgreSQL: back it up and restore it with PostgreSQL's own "
            "means (pg_dump, pg_restore, continuous archiving), and keep the pepper apart from it."
        )
    return config


def _stamp(now_us: int) -> str:
    """`20261127T201500Z`: sorts by time, and no system minds it in a name."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_us // 1_000_000))


def _describe_taken(taken: Taken, config: Config) -> None:
    show.strong(f"Backed up {config.data} to {taken.path} ({_size(taken.bytes)}).")
    show.line(f"{_contents(taken.manifest)}; {counted(taken.in_flight, 'request')} in journals.")
    if taken.manifest.has_pepper:
        show.line(
            "It holds the pepper: whoever reads this file can tell a key from a guess. Keep it as "
            "you keep secrets."
        )
    else:
        show.line(
            f"The pepper is not in it: keep a copy of {config.data / PEPPER} in another place. "
            "Without it no key works."
        )


def _contents(manifest: Manifest) -> str:
    """`1 project, 3 keys, 12 usage rows`."""
    return ", ".join(
        counted(count, name.removesuffix("s") if name.endswith("s") else f"{name} row")
        for name, count in manifest.counts.items()
    )


def _size(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"


def _taken_json(taken: Taken) -> dict[str, Any]:
    return {
        "file": str(taken.path),
        "bytes": taken.bytes,
        "in_flight": taken.in_flight,
        "manifest": _manifest_json(taken.manifest),
    }


def _manifest_json(manifest: Manifest) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(manifest)
    return {**told, "taken_at": stamp(manifest.taken_at_us), "has_pepper": manifest.has_pepper}


# --- Restore --------------------------------------------------------------------------------------


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Move what is in the data folder aside.")
@click.option("--data", metavar="DIR", help="Data folder.")
@click.option("--config", "path", metavar="FILE", help="Settings file (TOML).")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def restore(file: Path, force: bool, data: str | None, path: str | None, as_json: bool) -> None:
    """Make a data folder from a backup, then verify it.

    The folder must be empty, or --force moves what is there aside. A folder on which a server runs
    is refused. The exit status is 1 if the restored data does not add up.
    """
    config = _of_a_file(data, path)
    try:
        with shown(is_wanted=not as_json) as progress:
            config.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(config.data):
                done = put_back.put_back(
                    file,
                    config.data,
                    stamp=_stamp(SystemClock().now_us()),
                    moves_aside=force,
                    progress=progress,
                )
            found, seconds = asyncio.run(verified(config, (), progress))
    except (Refused, HallBusy, StoreAway, SchemaUnfit) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or config.data}: {error.strerror or error}.")
    if as_json:
        show.as_json({**_put_back_json(done), "verified": json_of(found, seconds)})
    else:
        _describe_put_back(done, config)
        describe(found, seconds)
    sys.exit(0 if found.is_good else 1)


def _describe_put_back(done: PutBack, config: Config) -> None:
    manifest = done.manifest
    show.strong(
        f"Restored {config.data} from the backup of {stamp(manifest.taken_at_us)} "
        f"(release {manifest.release})."
    )
    show.line(f"{_contents(manifest)}.")
    if done.aside is not None:
        show.line(f"What was there before is in {done.aside}.")
    if not done.has_pepper:
        show.line(
            f"There is no pepper: copy it to {config.data / PEPPER} (mode 0600) before the next "
            "start. Without it no key works."
        )


def _put_back_json(done: PutBack) -> dict[str, Any]:
    return {
        "manifest": _manifest_json(done.manifest),
        "aside": None if done.aside is None else str(done.aside),
        "has_pepper": done.has_pepper,
    }
