"""Whether a server runs on a data folder, asked by commands that work beside it."""

import fcntl
from pathlib import Path


def serving(folder: Path) -> str | None:
    """The process that serves this folder, if one does."""
    lines = _told(folder)
    return None if lines is None else next(iter(lines), "") or "unknown"


def address(folder: Path) -> str | None:
    """Where people find the server that serves this folder, if one does and says so."""
    lines = _told(folder) or []
    return lines[1] if len(lines) > 1 and lines[1] else None


def _told(folder: Path) -> list[str] | None:
    """What whoever holds the folder wrote about itself; None if nobody does."""
    try:
        with open(folder / "server.lock", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().splitlines()
    except OSError:
        pass
    return None
