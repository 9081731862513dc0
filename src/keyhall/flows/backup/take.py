"""Taking a backup beside a running server: files are copied in the direction in which rows move.

A settled request is in its journal until the database has it, or the spool while the database is
away, and the database last. So journals are copied first, then the spool, then the database: what
moves on meanwhile is copied twice, and never missed. Twice is harmless, because the next start
records a request only once, by its id; and what the database says of it counts.
"""

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from keyhall import __version__
from keyhall.flows.backup import archive
from keyhall.flows.backup.archive import FORMAT, Kept, Manifest
from keyhall.flows.manage.checks import Invalid, NotFound, Refused
from keyhall.ledger import spool
from keyhall.ledger.copying import JOURNALS, copy_journal, records_in
from keyhall.ledger.journal import JournalUnknown
from keyhall.stores.direct import copy_database

DATABASE = "keyhall.db"
PEPPER = "pepper"

Progress = Callable[[str, int, int], None]


class Taken(msgspec.Struct, frozen=True):
    """A backup that was made. `in_flight` are requests in journals, committed or not."""

    path: Path
    bytes: int
    manifest: Manifest
    in_flight: int


def target_of(wanted: Path, stamp: str) -> Path:
    """The file to write: in a folder, one named by the time. Refuses what is there already."""
    path = wanted / f"keyhall-{stamp}.tar" if wanted.is_dir() else wanted
    if path.exists():
        raise Invalid(f"{path} exists: a backup overwrites nothing. Name another file.")
    if not path.parent.is_dir():
        raise NotFound(f"There is no folder {path.parent}: make it first.")
    return path


def take(
    folder: Path,
    path: Path,
    *,
    now_us: int,
    has_database: bool = True,
    with_pepper: bool = False,
    progress: Progress,
) -> Taken:
    """Write the data folder's backup to a new file, mode 0600. Without `has_database` (it is a
    server of its own) only what is on the way to it. Raises Refused, OSError."""
    with _beside(path) as (draft, partial):
        in_flight = _copy_journals(folder, draft)
        for path_of_spool in sorted(folder.glob(spool.PATTERN)):
            with contextlib.suppress(FileNotFoundError):  # The database has all of it by now.
                shutil.copyfile(path_of_spool, draft / path_of_spool.name)
        schema, counts = _copy_database(folder, draft, progress) if has_database else ("", {})
        if with_pepper:
            shutil.copyfile(folder / PEPPER, draft / PEPPER)
        kept = _described(draft)
        manifest = Manifest(FORMAT, __version__, schema, now_us, sys.byteorder, counts, kept)
        _write(partial, manifest, draft, progress)
        size = partial.stat().st_size
        _publish(partial, path)
    return Taken(path, size, manifest, in_flight)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[tuple[Path, Path]]:
    """A folder for the copies and a name for the draft, on the same disk and private; both gone
    afterwards, whatever happens."""
    with tempfile.TemporaryDirectory(prefix=".keyhall-backup-", dir=path.parent) as name:
        draft = Path(name) / "files"
        draft.mkdir()
        yield draft, Path(name) / "archive"


def _copy_journals(folder: Path, draft: Path) -> int:
    """How many requests they hold."""
    requests = 0
    for journal in sorted(folder.glob(JOURNALS)):
        try:
            copy = copy_journal(journal)
            requests += sum(1 for _ in records_in(copy, journal.name))
        except FileNotFoundError:
            continue  # Its process ended well, so the database has all of it.
        except JournalUnknown:
            copy = bytearray(journal.read_bytes())  # For whoever can read it.
        (draft / journal.name).write_bytes(copy)
    return requests


def _copy_database(folder: Path, draft: Path, progress: Progress) -> tuple[str, dict[str, int]]:
    def told(done: int, total: int) -> None:
        progress("database pages", done, total)

    try:
        return copy_database(folder / DATABASE, draft / DATABASE, told)
    except sqlite3.Error as error:
        raise Refused(f"{folder / DATABASE} cannot be copied: {error}.") from error


def _described(draft: Path) -> list[Kept]:
    return [archive.describe(path) for path in sorted(draft.iterdir())]


def _write(partial: Path, manifest: Manifest, draft: Path, progress: Progress) -> None:
    total = sum(kept.bytes for kept in manifest.files)
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress("archive bytes", done, total)

    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        archive.write(file, manifest, draft, count)
        file.flush()
        os.fsync(file.fileno())


def _publish(partial: Path, path: Path) -> None:
    """Under its name only when it is whole; a link, because it overwrites nothing."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise Invalid(f"{path} exists: a backup overwrites nothing. Name another file.") from None
    sync(path.parent)


def sync(folder: Path) -> None:
    """Make names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
