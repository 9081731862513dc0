"""Which requests a rule holds for that is rolled out to a part of them.

The same request of the same key is always in it or always not, on every machine and after every
start; a higher percentage only adds requests. Which ones cannot be told from outside: a caller who
changes a letter gets another number.
"""

from collections.abc import Iterable
from hashlib import blake2b

BUCKETS = 100


def bucket(key_id: str, texts: Iterable[str]) -> int:
    """A number from 0 to 99, from the key and all that it sends: a rule with a percentage above it
    holds."""
    digest = blake2b(key_id.encode(), digest_size=8)
    for text in texts:
        data = text.encode("utf-8", "replace")
        digest.update(len(data).to_bytes(8, "big"))  # So that no two conversations are one.
        digest.update(data)
    return int.from_bytes(digest.digest(), "big") % BUCKETS
