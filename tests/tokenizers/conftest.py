"""tiktoken's own encodings, made of our rank files: the reference for ours."""

import base64
import hashlib
from collections.abc import Callable
from functools import cache

import pytest
import tiktoken
from tiktoken_ext import openai_public

from keyhall import tokenizers

Official = Callable[[str], tiktoken.Encoding]


@cache
def encoding(name: str) -> tiktoken.Encoding:
    """As tiktoken itself would make it, with its hash check, but for the download."""

    def read(_url: str, expected_hash: str) -> dict[bytes, int]:
        tokens = tokenizers.tokens_by_rank(name)
        lines = [b"%b %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens)]
        assert hashlib.sha256(b"".join(lines)).hexdigest() == expected_hash
        return {token: rank for rank, token in enumerate(tokens)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", read)
        return tiktoken.Encoding(**getattr(openai_public, name)())


@pytest.fixture(scope="session")
def official() -> Official:
    return encoding
