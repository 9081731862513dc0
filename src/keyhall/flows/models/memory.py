"""What a model needs of a machine's memory, as a sum of things that can be looked up."""

import os
from dataclasses import dataclass
from pathlib import Path

from keyhall.engines.local.gguf import Header

# llama.cpp computes up to so many tokens of prompts at once, each with a score of four bytes for
# every token it knows.
BATCH_TOKENS = 512
SCORE_BYTES = 4
OTHER_BYTES = 96 << 20  # the process itself, and what its sums are kept in

_CGROUP = Path("/sys/fs/cgroup/memory.max")  # of a container


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. An estimate from above: models whose attention slides over a window need less."""

    weights: int
    cache: int  # what is remembered of conversations: all slots, filled to the end
    work: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.work


def needed(header: Header, size: int, slots: int, slot_context: int) -> Memory:
    return Memory(
        weights=size,
        cache=slots * slot_context * header.kv_bytes_per_token,
        work=BATCH_TOKENS * header.vocabulary * SCORE_BYTES + OTHER_BYTES,
    )


def of_machine() -> int:
    """What this machine has, or the container that we are in."""
    bytes_all = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(bytes_all, int(_CGROUP.read_text(encoding="ascii")))
    except (OSError, ValueError):  # No container, or one without a bound: `max`.
        return bytes_all
