"""Files that belong to one living process: locked for as long as it holds them open."""

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

_IDENTITY_BYTES = 8


def identity(folder: Path) -> str:
    """What tells this data folder from those of other machines; made when it is first asked for."""
    path = folder / "instance"
    if not path.exists():
        draft = path.with_name(f"instance.{secrets.token_hex(_IDENTITY_BYTES)}")
        draft.write_text(secrets.token_hex(_IDENTITY_BYTES), encoding="ascii")
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # Of two processes that start at once one wins.
        draft.unlink()
    return path.read_text(encoding="ascii").strip()


def open_locked(path: Path, flags: int = 0) -> int:
    """A descriptor of the file, locked; `flags` are added to O_RDWR. BlockingIOError if another
    process that is alive has it, OSError of `os.open` otherwise."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had the lock before us may have deleted the file: then this is another's lock.
            if path.exists() and os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
