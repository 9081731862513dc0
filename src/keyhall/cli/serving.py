"""Whether a server runs on a data folder, asked by commands that work beside it."""

import fcntl
from pathlib import Path


def serving(folder: Path) -> str | None:
    """The process that serves this folder, if one does."""
    try:
        with open(folder / "server.lock", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "unknown"
    except OSError:
        pass
    return None
