"""Looking at a model file before it is trusted, and at one that was added long ago.

A file is opened once: what its header says, how large it is and what its SHA-256 is are facts of
the same bytes. Files stay where they are; what is kept of one is its real, absolute path.
"""

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from keyhall.engines.local import gguf
from keyhall.engines.local.gguf import Header, NotGguf
from keyhall.flows.manage.checks import Invalid, NotFound
from keyhall.flows.manage.engines import NAME_CHARACTERS_MAX
from keyhall.ports.records import ModelRecord

READ_BYTES = 4 << 20

# What has no words to say: models of embeddings, encoders, projectors.
SILENT = re.compile(r"(nomic-|neo-|modern-|eurobert|jina-)?bert.*|t5encoder|clip|wavtokenizer-dec")
_QUANTIZATION = re.compile(
    r"[-._]((?:ud-)?(?:i?q\d\w*|tq\d\w*|mxfp4\w*|nvfp4|b?f(?:16|32)|fp(?:16|8)))$", re.IGNORECASE
)
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")

Progress = Callable[[str, int, int], None]
State = Literal["ok", "missing", "unreadable", "changed", "touched"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that can be a model."""

    path: Path  # absolute, without links
    size: int
    header: Header


def look(path: Path) -> Seen:
    """What a file is. Raises Refused with a sentence about why it cannot be a model."""
    with _opened(path) as (file, real):
        return _seen(file, real)


def look_and_hash(path: Path, progress: Progress) -> tuple[Seen, str]:
    """`look`, and the SHA-256 of the same bytes in 64 hex digits."""
    with _opened(path) as (file, real):
        seen = _seen(file, real)
        return seen, _hashed(file, seen.size, real, progress)


def hash_of(path: Path, progress: Progress) -> str:
    with _opened(path) as (file, real):
        return _hashed(file, os.fstat(file.fileno()).st_size, real, progress)


class _opened:
    """A regular file that we may read, and its real path."""

    def __init__(self, path: Path) -> None:
        try:
            self._real = Path(os.path.realpath(path.expanduser(), strict=True))
            if not stat.S_ISREG(self._real.stat().st_mode):  # Opening a pipe would wait.
                what = "a folder" if self._real.is_dir() else "not a file"
                raise Invalid(f"{path} is {what}: name the GGUF file itself.")
            self._file = self._real.open("rb")
        except FileNotFoundError:
            raise NotFound(f"There is no file {path}.") from None
        except PermissionError:
            said = f"{path} may not be read: whoever runs the server must be able to."
            raise Invalid(said) from None
        except (OSError, ValueError) as error:
            raise Invalid(f"{path} cannot be read: {error}.") from None

    def __enter__(self) -> tuple[BinaryIO, Path]:
        return self._file, self._real

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _seen(file: BinaryIO, path: Path) -> Seen:
    size = os.fstat(file.fileno()).st_size
    try:
        header = gguf.read(file.read(min(size, gguf.HEADER_BYTES_MAX)), size)
    except NotGguf as error:
        raise Invalid(f"{path.name} is no model that can be used: it {error}.") from None
    _usable(path, size, header)
    return Seen(path, size, header)


def _usable(path: Path, size: int, header: Header) -> None:
    if header.expected_size > size:
        raise Invalid(
            f"{path.name} is not whole: it has {size:,} of at least {header.expected_size:,} "
            "bytes. Copy or download it again."
        )
    if header.parts > 1:
        raise Invalid(
            f"{path.name} is one of {header.parts} parts. Models are added as one file: join them "
            "with llama.cpp's `llama-gguf-split --merge`, or take a smaller quantization."
        )
    if header.kind != "model" or header.parameters == 0:
        what = f"its type is {header.kind}" if header.kind != "model" else "it has no weights"
        raise Invalid(f"{path.name} is no model on its own: {what}.")
    if SILENT.fullmatch(header.architecture):
        raise Invalid(
            f"{path.name} is of the architecture {header.architecture}, which writes no answers."
        )


def _hashed(file: BinaryIO, size: int, path: Path, progress: Progress) -> str:
    digest = hashlib.sha256()
    done = 0
    file.seek(0)
    while block := file.read(READ_BYTES):
        digest.update(block)
        done += len(block)
        progress("Reading", done, size)
    if done != size or os.fstat(file.fileno()).st_size != size:
        raise Invalid(f"{path.name} changed while it was read: wait until nobody writes to it.")
    return digest.hexdigest()


def name_for(path: Path) -> str:
    """`Qwen3-0.6B-Q4_K_M.gguf` is qwen3-0-6b: what callers may call it, if nobody says."""
    stem = _QUANTIZATION.sub("", path.stem)
    name = _NOT_IN_A_NAME.sub("-", stem.lower()).strip("-")[:NAME_CHARACTERS_MAX].strip("-")
    return name or "model"


def quantization_of(stem: str) -> str:
    """As a file's name says it: `Q4_K_M`; empty if it does not."""
    found = _QUANTIZATION.search(stem)
    return found[1].upper() if found else ""


def state_of(model: ModelRecord) -> State:
    """How a file does that was added, without reading it: `touched` if somebody may have written
    to it since, of which only its hash would tell."""
    try:
        found = os.stat(model.path)
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError:
        return "unreadable"
    if not stat.S_ISREG(found.st_mode) or found.st_size != model.size:
        return "changed"
    if not os.access(model.path, os.R_OK):
        return "unreadable"
    return "touched" if found.st_mtime_ns // 1_000 > model.created_at_us else "ok"


def check_pulled(path: Path, folder: Path) -> None:
    """Raises Invalid unless a file is in the folder of pulled models: others are not ours."""
    if not path.is_relative_to(os.path.realpath(folder)):
        raise Invalid(f"{path} was not pulled, so it is yours to delete: leave --delete-file out.")


def delete(path: Path, folder: Path) -> None:
    """Delete a pulled file, and the folder of its repository if nothing else is in it."""
    check_pulled(path, folder)
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        if path.parent != Path(os.path.realpath(folder)):
            path.parent.rmdir()
