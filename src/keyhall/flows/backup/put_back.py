"""Making a data folder from a backup: checked as a whole first, then put in place, database last.

The caller holds the folder's lock. What was there before is moved aside and never deleted. A start
of a server on a folder that was left half way finds no database, and says so by making keys anew;
the files that were there are in the folder beside, whose name begins with `before-restore-`.
"""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from keyhall.flows.backup import archive
from keyhall.flows.backup.archive import BadArchive, Manifest
from keyhall.flows.backup.take import DATABASE, PEPPER, sync
from keyhall.flows.manage.checks import Invalid
from keyhall.stores.migrate import HEAD

STAGING = ".restoring"
ASIDE = "before-restore-"
LOCK = "server.lock"

Progress = Callable[[str, int, int], None]


class PutBack(msgspec.Struct, frozen=True):
    """A backup that was restored. `aside` is where the folder's earlier files are now."""

    manifest: Manifest
    aside: Path | None
    has_pepper: bool


def put_back(
    path: Path, folder: Path, *, stamp: str, moves_aside: bool, progress: Progress
) -> PutBack:
    """Raises Refused before anything in the folder has changed; OSError."""
    manifest = archive.read_manifest(path)
    _fits(path, manifest)
    there = _there(folder, manifest)
    if there and not moves_aside:
        raise Invalid(
            f"{folder} is not empty ({', '.join(there[:3])}{', ...' if there[3:] else ''}). Choose "
            "an empty folder with --data, or move what is there aside with --force."
        )
    staging = folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)  # Of one that was killed.
    staging.mkdir(mode=0o700)
    try:
        _extract(path, manifest, staging, progress)
        aside = _move_aside(folder, there, folder / f"{ASIDE}{stamp}") if there else None
        # The database last: without it the folder is taken for a new one, or for none.
        for kept in sorted(manifest.files, key=lambda kept: kept.name == DATABASE):
            os.rename(staging / kept.name, folder / kept.name)
        sync(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return PutBack(manifest, aside, (folder / PEPPER).exists())


def _fits(path: Path, manifest: Manifest) -> None:
    if manifest.schema > HEAD:
        raise BadArchive(
            f"{path} has schema {manifest.schema}; this release knows up to {HEAD}. Restore it "
            f"with release {manifest.release}, or a later one."
        )
    has_journal = any(kept.name.startswith("journal-") for kept in manifest.files)
    if has_journal and manifest.byteorder != sys.byteorder:
        raise BadArchive(
            f"{path} was made on a machine of another kind ({manifest.byteorder}-endian), and what "
            "was in flight there can be read only on one like it."
        )


def _there(folder: Path, manifest: Manifest) -> list[str]:
    """What would have to make room. A pepper that the backup lacks was put there for it."""
    ours = {LOCK, STAGING} | (set() if manifest.has_pepper else {PEPPER})
    return sorted(
        each.name
        for each in folder.iterdir()
        if each.name not in ours and not each.name.startswith(ASIDE)
    )


def _move_aside(folder: Path, there: list[str], aside: Path) -> Path:
    aside.mkdir(mode=0o700)
    # The database first: half way through, nobody takes the rest for a hall.
    for name in sorted(there, key=lambda name: not name.startswith(DATABASE)):
        os.rename(folder / name, aside / name)
    sync(aside)
    return aside


def _extract(path: Path, manifest: Manifest, staging: Path, progress: Progress) -> None:
    total = sum(kept.bytes for kept in manifest.files)
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress("archive bytes", done, total)

    archive.extract(path, manifest, staging, count)
    for kept in manifest.files:
        with (staging / kept.name).open("rb") as file:
            os.fsync(file.fileno())
