"""Counting text: exact where it matters, bounded for whatever is sent."""

import random
from typing import get_args

import pytest
from cpu_time import cpu_seconds
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhall import tokenizers
from keyhall.policy import tokens
from keyhall.policy.tokens import BLOCK_CHARACTERS, PIECE_CHARACTERS, Tokenizer
from keyhall.wire import chat

MIB = 1024 * 1024
CEILING = 4 * 4096

WORDS = [
    "one",
    "two ",
    " three",
    "1",
    "22",
    ", ",
    ".\n",
    "'s",
    "Ж",
    "漢字",
    "。",
    " ",
    "\n",
    "é",
    "-",
]
texts = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=3)), max_size=60).map("".join)


@pytest.fixture(params=tokenizers.NAMES)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return tokenizers.load(request.param)


def exact(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text))


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts every few characters, so that small texts meet all that long ones meet."""
    monkeypatch.setattr(tokens, "SHORT_CHARACTERS", 4)
    monkeypatch.setattr(tokens, "PIECE_CHARACTERS", 12)


@pytest.mark.parametrize("name", tokenizers.NAMES)
@pytest.mark.usefixtures("small_pieces")
@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_r12_long_text_counts_as_if_it_were_encoded_at_once(name: str, text: str) -> None:
    """Cuts lie where no token can cross; text without such a place is not cut."""
    tokenizer = tokenizers.load(name)
    assert tokenizer.count(text) == exact(tokenizer, text)


@pytest.mark.parametrize("name", tokenizers.NAMES)
@pytest.mark.usefixtures("small_pieces")
@settings(max_examples=300, deadline=None)
@given(text=texts, ceiling=st.integers(0, 60))
def test_r12_a_count_is_exact_up_to_the_ceiling_and_at_least_that_above_it(
    name: str, text: str, ceiling: int
) -> None:
    tokenizer = tokenizers.load(name)
    number, truth = tokenizer.count(text, ceiling), exact(tokenizer, text)
    if truth <= ceiling:
        assert number == truth
    else:
        assert ceiling < number <= truth


def test_r12_a_long_text_of_many_kinds_is_exact(tokenizer: Tokenizer) -> None:
    """Real piece sizes: prose, code, tables, scripts with and without spaces."""
    kinds = [
        "All is well, isn't it? ",
        "def f(x):\n    return x ** 2\n\n",
        "| a | 12.5 |\n",
        "漢字かな。",
    ]
    dice = random.Random(12)
    for size in (PIECE_CHARACTERS - 1, 3 * PIECE_CHARACTERS):
        text = "".join(dice.choices(kinds, k=size // 8))
        assert tokenizer.count(text) == exact(tokenizer, text)


def test_r12_text_without_a_place_to_cut_is_exact_up_to_a_block(tokenizer: Tokenizer) -> None:
    """300,000 spaces fit into 4,096 tokens: so they must be counted exactly."""
    text = "x " + " " * 300_000 + "y"
    assert tokenizer.count(text, CEILING) == exact(tokenizer, text) < 4096


def test_r12_blocks_err_by_two_tokens_for_each_cut_at_most(tokenizer: Tokenizer) -> None:
    text = "=" * (BLOCK_CHARACTERS + 100_001)
    assert abs(tokenizer.count(text) - exact(tokenizer, text)) <= 2


def test_more_spaces_than_tiktoken_bears_are_counted(tokenizer: Tokenizer) -> None:
    """1,000,000 spaces in a row end in a panic of its regex library, or ValueError."""
    number = tokenizer.count("x" + " " * 1_200_000 + "y", CEILING)
    assert 0 <= number - 1_200_000 / 128 < 8


def test_r12_counting_stops_above_the_ceiling(tokenizer: Tokenizer) -> None:
    """A text of ten times the ceiling is not read to its end."""
    encoded = 0

    def encode(text: str) -> list[int]:
        nonlocal encoded
        encoded += len(text)
        return tokenizer.encode(text)

    watched = Tokenizer("watched", encode, tokenizer.decode_bytes)
    prose = "All is well, is it not? " * 50_000
    assert CEILING < watched.count(prose, CEILING) < 3 * CEILING
    assert encoded < 3 * PIECE_CHARACTERS

    encoded = 0
    blocks = "漢" * (3 * BLOCK_CHARACTERS)
    assert watched.count(blocks, 400_000) > 400_000
    assert encoded < 2 * BLOCK_CHARACTERS

    encoded = 0
    dense = drawn("!#$%&*+,-./:;<=>?@^_|~", BLOCK_CHARACTERS)  # Given up after its first piece.
    assert watched.count(dense, CEILING) > CEILING
    assert encoded <= 2 * PIECE_CHARACTERS

    encoded = 0
    assert watched.count("a" * (10 * MIB), CEILING) == 10 * MIB / 128
    assert encoded == 0


def drawn(characters: str, size: int) -> str:
    return ("".join(random.Random(1).choices(characters, k=10_007)) * (size // 10_000 + 1))[:size]


BOMBS = {
    "one letter": lambda size: "a" * size,
    "one capital": lambda size: "A" * size,
    "spaces": lambda size: " " * size,
    "spaces before a word": lambda size: " " * (size - 1) + "x",
    "line feeds": lambda size: "\n" * size,
    "returns and line feeds": lambda size: "\r\n" * (size // 2),
    "tabs": lambda size: "\t" * size,
    "rulers": lambda size: "=" * size,
    "random letters": lambda size: drawn("abcdefghijklmnopqrstuvwxyz", size),
    "random symbols": lambda size: drawn("!#$%&*+,-./:;<=>?@^_|~", size),
    "combining marks": lambda size: "a" + "\u0301" * (size - 1),
    "joined emoji": lambda size: "\U0001f469\u200d" * (size // 2),
    "highest code points": lambda size: "\U0010ffff" * size,
    "ideographs": lambda size: "漢" * size,
    "special tokens": lambda size: "<|endoftext|>" * (size // 13),
    "replacement characters": lambda size: "\ufffd" * size,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_f16_whatever_is_sent_takes_less_than_a_second_per_mib(bomb: str) -> None:
    tokenizer = tokenizers.load("o200k_base")
    for size in (1024, 16_384, MIB, 10 * MIB):
        text = BOMBS[bomb](size)
        bound = max(size / MIB, 0.25)
        numbers: list[int] = []

        def count(text: str = text, numbers: list[int] = numbers) -> None:
            numbers.append(tokenizer.count(text, CEILING))

        assert cpu_seconds(count, bound) < bound
        assert 0 < numbers[0] <= 4 * len(text)


def test_a_lone_surrogate_counts_as_the_replacement_character(tokenizer: Tokenizer) -> None:
    """Strings of the command line may hold them; the binding refuses them with an exception."""
    assert tokenizer.count("a \ud800 b") == tokenizer.count("a \ufffd b")
    assert tokenizer.count("\ud83d\ude00") == tokenizer.count("\U0001f600")
    assert tokenizer.count("x \ud800" * 10_000) == tokenizer.count("x \ufffd" * 10_000)


def test_a_count_above_the_ceiling_is_told_as_at_least() -> None:
    assert tokens.told(16_384, 16_384) == "16384"
    assert tokens.told(16_385, 16_384) == "at least 16385"


def test_every_role_has_its_tokens() -> None:
    assert set(tokens.ROLES) == set(get_args(chat.Role))
    tokenizer = tokenizers.load("o200k_base")
    assert tokenizer.role_tokens == dict.fromkeys(tokens.ROLES, 1)


def test_a_tokenizer_shows_its_name(tokenizer: Tokenizer) -> None:
    """Its vocabulary of 200,000 tokens is nothing to read in a failed assertion."""
    assert repr(tokenizer) == f"<Tokenizer {tokenizer.name}>"
