"""Keys in files and logs: read piece by piece, found by their form, sure by their checksum.

A key that lies across two pieces is found: each piece begins with the end of the one before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from keyhall.flows.manage.checks import Invalid
from keyhall.policy.leaks.finding import KEY_CHARACTERS_MAX, keys_in

PIECE_BYTES = 1 << 20
KEYS_MAX = 10_000  # different ones in one scan: more is a list of keys, not a leak

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Sighting:
    """A key, where it was seen first, and how often."""

    text: str
    file: str
    line: int
    count: int = 1

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


class Scan:
    """The keys of any number of files, by text, in the order in which they were met."""

    def __init__(self) -> None:
        self.found: dict[str, Sighting] = {}
        self.scanned_bytes = 0

    def read(self, name: str, file: IO[bytes], size: int, progress: Progress) -> None:
        """Look through one file to its end. `size` is for the progress; 0 if nobody knows. Raises
        Invalid for a flood of keys, OSError as reading does."""
        kept, line, done, last = b"", 1, 0, 0  # The place behind the last key of the piece.
        while piece := file.read(PIECE_BYTES):
            data = kept + piece
            last = self._look(name, data, line, last)
            done += len(piece)
            self.scanned_bytes += len(piece)
            progress("scanned", done, max(size, done))
            # What may be the beginning of a key: a piece's end cuts none in two.
            kept = data[-KEY_CHARACTERS_MAX:]
            gone = len(data) - len(kept)
            line += data.count(b"\n", 0, gone)
            last = max(0, last - gone)
        self._look(name, kept, line, last, is_end=True)

    def _look(self, name: str, data: bytes, line: int, last: int, *, is_end: bool = False) -> int:
        """Note the keys that begin behind `last`; the place behind the last of them. A key that
        ends with the piece may go on in the next, and is left to it."""
        counted, at_line = 0, line
        for at, text in keys_in(data):
            end = at + len(text)
            if at < last or (end == len(data) and not is_end):
                continue
            at_line += data.count(b"\n", counted, at)
            counted, last = at, end
            self._note(text, name, at_line)
        return last

    def _note(self, text: str, name: str, line: int) -> None:
        seen = self.found.get(text)
        if seen is not None:
            seen.count += 1
            return
        if len(self.found) >= KEYS_MAX:
            raise Invalid(f"More than {KEYS_MAX:,} keys: scan fewer files at once.")
        self.found[text] = Sighting(text, name, line)
