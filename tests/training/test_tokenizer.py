"""The tokenizer of the house model: what it writes it reads, whatever the text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpus import conversations
from training.tokenizer import SPECIAL, Tokenizer, learn

TEXTS = [turn.text for text in conversations(1, 400) for turn in text.turns]
TOKENIZER = Tokenizer(learn(TEXTS, 700))


@given(st.text())
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@given(st.text(alphabet="<|im_startend>of text\n", max_size=60))
def test_text_is_only_text(text: str) -> None:
    """No message can forge the end of its turn."""
    special = {TOKENIZER.start, TOKENIZER.end, TOKENIZER.stop}
    assert not special & set(TOKENIZER.encode(text + SPECIAL[1]))


def test_the_same_texts_give_the_same_vocabulary() -> None:
    assert learn(TEXTS, 400) == learn(list(reversed(TEXTS)), 400)


def test_frequent_words_become_short() -> None:
    assert len(TOKENIZER.encode(" Keyhall")) <= 2
    assert len(TOKENIZER) <= 700


def test_a_saved_tokenizer_is_the_same(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json")
    assert again.tokens == TOKENIZER.tokens
    assert again.encode(TEXTS[0]) == TOKENIZER.encode(TEXTS[0])


def test_a_prompt_is_what_the_chat_template_makes() -> None:
    jinja2 = pytest.importorskip("jinja2")
    from training.tokenizer import TEMPLATE

    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello!"), ("user", "A key?")]
    messages = [{"role": role, "content": content} for role, content in turns]
    written = jinja2.Template(TEMPLATE, keep_trailing_newline=True).render(
        messages=messages, add_generation_prompt=True
    )
    shown = "".join(
        TOKENIZER.tokens[number]
        if number in (TOKENIZER.start, TOKENIZER.end)
        else TOKENIZER.decode([number])
        for number in TOKENIZER.prompt(turns)
    )
    assert shown == written
