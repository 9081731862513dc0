"""The process that a model answers in: llama.cpp's own server on a Unix socket, and nothing else.

Started by `process.py` as `python -I -m keyhall.engines.local.child`. It has no secret but a token
of its own life, no network where the system allows that, and ends with its parent. What it is told
comes in one line of JSON on its standard input; when that ends, so does the process. It says one
line of JSON: `Ready`, or `Refused` and its end.
"""

import hashlib
import os
import sys
from pathlib import Path

import msgspec

from keyhall.engines.local import confine

READ_BYTES = 4 * 1024 * 1024
# Tokens that are taken in at once. Between two such steps it can be stopped, and says that it
# lives: with 256, every few seconds even on a slow machine; larger steps are hardly faster.
BATCH_TOKENS = 256
SPARE_TOKENS = 8  # beyond a request's own, since the last of a context is never given out
SPARE_THREADS = 16  # for counts, probes, and connections that are about to close


class Wanted(msgspec.Struct, frozen=True):
    """What the parent wants."""

    path: str
    sha256: str
    socket: str
    token: str
    slots: int
    slot_context: int
    threads: int
    shares_prefixes: bool
    parent: int  # its process id
    known: tuple[int, int, int] | None  # the mark of the file whose checksum was right before


class Ready(msgspec.Struct, tag="ready", tag_field="is"):
    mark: tuple[int, int, int]
    has_network: bool  # it could not be taken away
    seconds: float = 0.0


class Refused(msgspec.Struct, tag="refused", tag_field="is"):
    """Why the model cannot be served: one line without a full stop, for the operator."""

    why: str
    mark: tuple[int, int, int] | None  # while the file stays the same, so will this


class _Stop(Exception):
    pass


def mark_of(path: str) -> tuple[int, int, int]:
    """What changes when a file does: size, time of change in nanoseconds, inode."""
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns, found.st_ino


def main() -> int:
    wanted = msgspec.json.decode(sys.stdin.buffer.readline(), type=Wanted)
    said = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # What native code prints goes to the log, not between our lines.
    mark: tuple[int, int, int] | None = None
    try:
        has_network = confine.confine(wanted.parent)
        mark = _verified(wanted)
        server = _serve(wanted)
        if mark_of(wanted.path) != mark:
            raise _Stop("the file changed while it was loaded")
    except _Stop as stop:
        said.write(msgspec.json.encode(Refused(str(stop), mark)) + b"\n")
        return 1
    said.write(msgspec.json.encode(Ready(mark, has_network)) + b"\n")
    said.close()
    sys.stdin.buffer.read()  # To its end: the parent is gone, or wants us gone.
    del server
    return 0


def _verified(wanted: Wanted) -> tuple[int, int, int]:
    """The mark of the file, which is the one that was added."""
    try:
        mark = mark_of(wanted.path)
        if mark == wanted.known:
            return mark
        digest = hashlib.sha256()
        with open(wanted.path, "rb", buffering=0) as file:
            while piece := file.read(READ_BYTES):
                digest.update(piece)
    except FileNotFoundError:
        raise _Stop(f"there is no file {wanted.path}") from None
    except OSError as error:
        raise _Stop(f"{wanted.path} cannot be read: {error.strerror}") from None
    if digest.hexdigest() != wanted.sha256:
        raise _Stop(f"{wanted.path} is not the file that was added: its SHA-256 is another")
    return mark


def _serve(wanted: Wanted) -> object:
    try:
        import xllamacpp
    except ImportError:
        raise _Stop("llama.cpp is not installed: pip install 'keyhall[local]'") from None
    params = xllamacpp.CommonParams()
    params.model.path = wanted.path
    params.n_parallel = wanted.slots
    params.n_ctx = wanted.slots * (wanted.slot_context + SPARE_TOKENS)
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = wanted.threads
    params.fit_params = False  # It would take from the context what memory lacks.
    params.hostnames = [wanted.socket]
    params.api_keys = [wanted.token]
    params.n_threads_http = wanted.slots + SPARE_THREADS  # One is taken by each open connection.
    params.endpoint_slots = True
    params.use_jinja = True
    params.prefill_assistant = False  # As OpenAI's API: an answer follows, whoever spoke last.
    params.ui = False
    params.cache_prompt = wanted.shares_prefixes
    if not wanted.shares_prefixes:
        params.cache_ram_mib = 0  # What one organization sent is kept for nobody.
        params.cache_idle_slots = False
    params.verbosity = 1  # Errors: no line has anything of a prompt in it.
    Path(wanted.socket).unlink(missing_ok=True)
    try:
        return xllamacpp.Server(params)
    except Exception as error:
        raise _Stop(f"llama.cpp cannot load {wanted.path}: {error}".rstrip(".")) from None


if __name__ == "__main__":
    sys.exit(main())
