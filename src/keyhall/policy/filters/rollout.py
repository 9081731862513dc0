"""Which requests a rule holds for that is rolled out to a part of them.

The same request of the same key is always in it or always not, on every machine and after every
start; a higher percentage only adds requests.
"""

from collections.abc import Iterable
from zlib import crc32

BUCKETS = 100


def bucket(key_id: str, texts: Iterable[str]) -> int:
    """A number from 0 to 99, from the key and all that it sends: a rule with a percentage above it
    holds."""
    number = crc32(key_id.encode())
    for text in texts:
        data = text.encode("utf-8", "replace")
        # With its length, so that no two conversations are one.
        number = crc32(data, crc32(len(data).to_bytes(8, "big"), number))
    return number % BUCKETS
