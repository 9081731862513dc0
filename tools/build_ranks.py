"""Rebuild the rank files in src/keyhall/tokenizers/ranks from OpenAI's own, bit by bit.

Run by hand, with a package that carries the official files (`pip install bpe-openai==0.1.4`), or
with the folder in which they lie: `python tools/build_ranks.py [FOLDER]`. A file whose hash is not
the one in tiktoken's source is refused. Ours hold the same tokens in the order of their ranks, as
one MessagePack array, because decoding that is fifteen times faster than reading 200,000 lines of
Base64; tests/tokenizers/test_ranks.py turns them back and compares hashes.
"""

import base64
import gzip
import hashlib
import importlib.util
import sys
from pathlib import Path

import msgspec

# From tiktoken_ext/openai_public.py.
SHA256 = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
TARGET = Path(__file__).parents[1] / "src" / "keyhall" / "tokenizers" / "ranks"


def main() -> None:
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else folder_of_package()
    for name, expected in SHA256.items():
        official = gzip.decompress((source / f"{name}.tiktoken.gz").read_bytes())
        if hashlib.sha256(official).hexdigest() != expected:
            sys.exit(f"{source / name}.tiktoken.gz is not the official file.")
        packed = gzip.compress(msgspec.msgpack.encode(tokens_of(official)), 9, mtime=0)
        target = TARGET / f"{name}.msgpack.gz"
        target.write_bytes(packed)
        print(f"{target.name}: {len(packed):,} bytes")


def folder_of_package() -> Path:
    package = importlib.util.find_spec("bpe_openai")
    if package is None or package.origin is None:
        sys.exit("bpe-openai is not installed here; or name the folder with the rank files.")
    return Path(package.origin).parent / "data"


def tokens_of(official: bytes) -> list[bytes]:
    """All tokens, the one of rank 0 first. The file names every rank, without a gap."""
    tokens = []
    for line in official.splitlines():
        token, rank = line.split()
        assert int(rank) == len(tokens)
        tokens.append(base64.b64decode(token))
    return tokens


if __name__ == "__main__":
    main()
