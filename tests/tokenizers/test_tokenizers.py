"""Rank files, loading, and the same tokens as tiktoken's."""

# ruff: noqa: RUF001 - characters that look alike are what is tested.

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall import tokenizers
from keyhall.policy.tokens import TOKEN_BYTES_MAX

Official = Callable[[str], tiktoken.Encoding]

# Where the two patterns could part: spaces and line ends of all kinds, contractions, capitals,
# marks, digits of other scripts, punctuation with and without line ends.
AWKWARD = (
    " \t\n\r\v\f\x00\x1c\x85\xa0\u2003\u2028\u3000'’sStTdDlLvVeErRmMaZzßſİıΑωЖйあ漢한ँ\u0301\u200d"
    '0123४²Ⅷ.,;:!?/\\-_=*#<|>"()[]{}…。，👩🏽\u200b\ufeff\ufffd\U0010ffff'
)
PIECES = [
    "don't", "WE'LL", "I'Ve", "x's", "'s", "'ſ", " he'd", "<|endoftext|>", "<|fim_prefix|>", "\r\n",
    "\n\n", "  ", "    ", "\n  ", "  \n", "\t\t", " .", "./", ".\n/", "...\n\n", "1234",
    "camelCase", "HTTPServer", "naïve", "मन्त्र", "สวัสดี", "مرحبا", "中文字", "a" * 130,
    "=" * 70, " " * 90,
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=80),
    st.text(AWKWARD, max_size=40),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(AWKWARD, max_size=4)), max_size=14).map(
        "".join
    ),
)


@pytest.mark.parametrize("name", tokenizers.NAMES)
def test_r12_ranks_are_openais_own_bit_by_bit(name: str, official: Official) -> None:
    """Turned back into OpenAI's format, the file has the hash that tiktoken's source names."""
    assert official(name).n_vocab > 100_000


@pytest.mark.parametrize("name", tokenizers.NAMES)
def test_no_token_is_longer_than_the_bound_that_counting_relies_on(name: str) -> None:
    assert max(map(len, tokenizers.tokens_by_rank(name))) == TOKEN_BYTES_MAX


@pytest.mark.parametrize("name", tokenizers.NAMES)
@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_r12_tokens_are_the_ones_of_tiktoken(name: str, official: Official, text: str) -> None:
    """Our split patterns are written differently, and match the same."""
    tokenizer = tokenizers.load(name)
    tokens = tokenizer.encode(text)
    assert tokens == official(name).encode_ordinary(text)
    assert b"".join(map(tokenizer.decode_bytes, tokens)) == text.encode()


@pytest.mark.parametrize("name", tokenizers.NAMES)
def test_r12_special_tokens_in_a_text_are_text(name: str) -> None:
    """`<|endoftext|>` is seven tokens, not one that ends the conversation, and not a 500."""
    assert tokenizers.load(name).count("<|endoftext|>") == 7


@pytest.mark.parametrize("name", tokenizers.NAMES)
def test_naughty_strings_count_as_tiktoken_counts_them(name: str, official: Official) -> None:
    folder = os.environ.get("KEYHALL_CORPORA")
    if folder is None:
        pytest.skip("KEYHALL_CORPORA is not set: the naughty strings were not counted")
    strings = json.loads((Path(folder) / "naughty-strings.json").read_text(encoding="utf-8"))
    tokenizer = tokenizers.load(name)
    for text in [*strings, "\n".join(strings)]:
        assert tokenizer.count(text) == len(official(name).encode_ordinary(text))


def test_a_tokenizer_is_read_once_whoever_asks() -> None:
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(tokenizers.load, ["cl100k_base"] * 8))
    assert all(tokenizer is loaded[0] for tokenizer in loaded)
    assert repr(loaded[0]) == "<Tokenizer cl100k_base>"


def test_a_name_that_nobody_knows_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        tokenizers.load("p50k_base")


def test_loading_opens_no_connection() -> None:
    """tiktoken by itself fetches its ranks at first use, which fails where there is no network."""
    code = (
        "import socket; socket.socket = None\n"
        "from keyhall import tokenizers\n"
        "print(tokenizers.load('cl100k_base').count('one two'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "2\n", done.stderr


def test_the_license_of_the_ranks_ships_with_them() -> None:
    notice = Path(tokenizers.__file__).parent / "ranks" / "NOTICE"
    assert "MIT License" in notice.read_text(encoding="utf-8")
