"""How many different things there were, in bounded memory: exact while they are few, near beyond.

Up to EXACT_MAX the sketch holds the things' hashes; beyond it 256 registers of a HyperLogLog
(Flajolet and others, 2007), whose estimate is off by 6.5 % (one standard deviation). Either way it
depends on which things there were and on nothing else: not on their order, nor on how often, nor
on how many sketches they came by. So the union of several processes' sketches is what one would
have seen.

>>> one, other = Sketch(), Sketch()
>>> one.add(1), one.add(1), other.add(2)
(True, False, True)
>>> one.merge(other)
>>> one.count()
2
"""

import math
from collections.abc import Iterable

EXACT_MAX = 64
REGISTERS = 256
HASH_BYTES = 8

_INDEX_BITS = 8
_REST_BITS = 8 * HASH_BYTES - _INDEX_BITS
_ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)
_RANK_MAX = _REST_BITS + 1
_EXACT, _REGISTERED = b"E", b"R"


class Sketch:
    """A set of hashes of HASH_BYTES, or near enough."""

    __slots__ = ("_hashes", "_registers")

    def __init__(self, hashes: Iterable[int] = ()) -> None:
        self._hashes: set[int] | None = set()
        self._registers = bytearray()
        for each in hashes:
            self.add(each)

    def add(self, hashed: int) -> bool:
        """Whether that changed anything."""
        hashes = self._hashes
        if hashes is None:
            return self._register(hashed)
        if hashed in hashes:
            return False
        hashes.add(hashed)
        if len(hashes) > EXACT_MAX:
            self._registers, self._hashes = bytearray(REGISTERS), None
            for each in hashes:
                self._register(each)
        return True

    def _register(self, hashed: int) -> bool:
        index = hashed & (REGISTERS - 1)
        rank = _REST_BITS - (hashed >> _INDEX_BITS).bit_length() + 1
        if rank <= self._registers[index]:
            return False
        self._registers[index] = rank
        return True

    def merge(self, other: "Sketch") -> bool:
        """The union; whether that changed anything."""
        if other._hashes is not None:
            changes = [self.add(each) for each in other._hashes]
            return any(changes)
        changed = False
        if self._hashes is not None:
            hashes, self._hashes = self._hashes, None
            self._registers = bytearray(REGISTERS)
            for each in hashes:
                self._register(each)
            changed = True
        for index, rank in enumerate(other._registers):
            if rank > self._registers[index]:
                self._registers[index] = rank
                changed = True
        return changed

    def count(self) -> int:
        """How many there are."""
        if self._hashes is not None:
            return len(self._hashes)
        empty = self._registers.count(0)
        raw = _ALPHA * REGISTERS**2 / sum(2.0**-rank for rank in self._registers)
        if raw <= 2.5 * REGISTERS and empty:
            raw = REGISTERS * math.log(REGISTERS / empty)
        return max(EXACT_MAX + 1, round(raw))

    def encode(self) -> bytes:
        """The same bytes for the same sketch."""
        if self._hashes is None:
            return _REGISTERED + bytes(self._registers)
        return _EXACT + b"".join(each.to_bytes(HASH_BYTES, "big") for each in sorted(self._hashes))

    @classmethod
    def decode(cls, data: bytes) -> "Sketch":
        """Raises ValueError for what `encode` does not give."""
        kind, rest = data[:1], data[1:]
        made = cls()
        if kind == _REGISTERED and len(rest) == REGISTERS and max(rest) <= _RANK_MAX:
            made._hashes, made._registers = None, bytearray(rest)
            return made
        if kind != _EXACT or len(rest) % HASH_BYTES or len(rest) > EXACT_MAX * HASH_BYTES:
            raise ValueError("not a sketch")
        for at in range(0, len(rest), HASH_BYTES):
            made.add(int.from_bytes(rest[at : at + HASH_BYTES], "big"))
        return made
