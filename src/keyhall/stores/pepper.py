"""The pepper: the secret that turns keys into digests, kept in a file and never in the database.

So a stolen database can neither mint keys nor be compared with lists of leaked ones. Losing the
file makes every key useless: it belongs into the backup, apart from the database. One pepper per
line as 64 hex digits; the last is used for new keys, those before it still recognise theirs. Many
machines on one database need the same: there the settings give it, and no file is looked at.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from keyhall.policy.keys import PEPPER_BYTES, parse_peppers

FILE = "pepper"
_HEAD = (
    "# The pepper of this Keyhall. Without it no key works: back it up, apart from the database.\n"
)


class PepperRefused(Exception):
    """The file cannot be used; the sentence says why and what to do."""


def find_peppers(given: str, folder: Path) -> tuple[bytes, ...]:
    """Those that the settings give, else those of the folder; newest first."""
    return parse_peppers(given) or load_peppers(folder)


def load_peppers(folder: Path) -> tuple[bytes, ...]:
    """The folder's peppers, newest first. A folder without any gets one."""
    path = folder / FILE
    if not path.exists():
        _create(path)
    return _read(path)


def _read(path: Path) -> tuple[bytes, ...]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise PepperRefused(
            f"{path} can be read by other users (mode {mode:03o}). Make it private with "
            f"`chmod 600 {path}`; if somebody may have read it, rotate all keys."
        )
    lines = [
        line.strip() for line in path.read_text(encoding="ascii", errors="replace").split("\n")
    ]
    try:
        found = [bytes.fromhex(line) for line in lines if line and not line.startswith("#")]
    except ValueError:
        found = []
    if not found or any(len(pepper) != PEPPER_BYTES for pepper in found):
        raise PepperRefused(
            f"{path} is damaged: every line should be 64 hex digits. Restore it from a backup; "
            "without it no key works."
        )
    return tuple(reversed(found))


def _create(path: Path) -> None:
    """Made whole and durable under another name first: of two processes one wins, and nobody ever
    reads half of it."""
    draft = path.with_name(f"pepper.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(_HEAD + secrets.token_hex(PEPPER_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
