"""The archive: a tar file whose first member says what the others are, with the digest of each.

No compression: a database of gigabytes would wait for it, and whoever wants it has better tools. An
archive that was compressed can be read as it is.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec

from keyhall.flows.manage.checks import Refused

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 1 << 20
CHUNK_BYTES = 1 << 20

Counted = Callable[[int], None]  # bytes that are done


class BadArchive(Refused):
    """The file is no backup of Keyhall, or not the one that was made."""


class Kept(msgspec.Struct, frozen=True):
    """One file of an archive."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What is in an archive. `byteorder` is that of the journals: they are read where it is the
    same. Without a database (one that is a server of its own) `schema` is empty."""

    format: int
    release: str
    schema: str
    taken_at_us: int
    byteorder: str
    counts: dict[str, int]
    files: list[Kept]

    @property
    def has_pepper(self) -> bool:
        return any(kept.name == "pepper" for kept in self.files)


def describe(path: Path) -> Kept:
    """A file with its digest."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            hasher.update(chunk)
    return Kept(path.name, path.stat().st_size, hasher.hexdigest())


def write(file: IO[bytes], manifest: Manifest, folder: Path, done: Counted) -> None:
    """Write an archive of the manifest's files, which are in the folder."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        head = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        tar.addfile(_member(MANIFEST, len(head), manifest), io.BytesIO(head))
        for kept in manifest.files:
            with (folder / kept.name).open("rb") as content:
                told: Any = _Counting(content, done)
                tar.addfile(_member(kept.name, kept.bytes, manifest), told)


def _member(name: str, size: int, manifest: Manifest) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    member.mtime = manifest.taken_at_us // 1_000_000
    return member


class _Counting:
    """A file whose bytes are counted as they are read."""

    def __init__(self, file: IO[bytes], done: Counted) -> None:
        self._file = file
        self._done = done

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._done(len(data))
        return data


def read_manifest(path: Path) -> Manifest:
    """Raises BadArchive."""
    try:
        with tarfile.open(path, mode="r:*") as tar:
            first = tar.next()
            content = None if first is None or first.name != MANIFEST else tar.extractfile(first)
            if content is None:
                raise BadArchive(f"{path} is an archive, but not one of `keyhall backup`.")
            manifest = msgspec.json.decode(content.read(MANIFEST_BYTES_MAX), type=Manifest)
    except (tarfile.TarError, EOFError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadArchive(f"{path} is no backup of Keyhall, or damaged: {error}.") from error
    if manifest.format != FORMAT:
        raise BadArchive(
            f"{path} has format {manifest.format}; this release knows format {FORMAT}. "
            f"Restore it with release {manifest.release}."
        )
    names = [kept.name for kept in manifest.files]
    if any(Path(name).name != name for name in names) or len({*names}) != len(names):
        raise BadArchive(f"{path} names files that no backup holds.")
    return manifest


def extract(path: Path, manifest: Manifest, into: Path, done: Counted) -> None:
    """Write the files into a folder; each is compared with its digest. Raises BadArchive."""
    missing = {kept.name: kept for kept in manifest.files}
    try:
        with tarfile.open(path, mode="r:*") as tar:
            for member in tar:
                if member.name == MANIFEST:
                    continue
                kept = missing.pop(member.name, None)
                content = tar.extractfile(member)
                if kept is None or content is None:
                    raise BadArchive(f"{path} holds {member.name}, which its manifest does not.")
                _copy(content, into / kept.name, done)
                if describe(into / kept.name) != kept:
                    raise BadArchive(f"{path}: {kept.name} is not the file that was backed up.")
    except (tarfile.TarError, EOFError) as error:
        raise BadArchive(f"{path} is damaged: {error}.") from error
    if missing:
        raise BadArchive(f"{path} is cut short: {', '.join(sorted(missing))} missing.")


def _copy(content: IO[bytes], target: Path, done: Counted) -> None:
    target.touch(mode=0o600)
    with target.open("wb") as file:
        while chunk := content.read(CHUNK_BYTES):
            file.write(chunk)
            done(len(chunk))
