"""Prompts come one a line, or as lines of JSON; a mistake is told with its line."""

import pytest

from keyhall.flows.compare import prompts
from keyhall.flows.manage.checks import Invalid


def test_lines_and_json_may_be_mixed(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text(
        "\ufeffWhat is a key?\n\n"
        '{"messages": [{"role": "system", "content": "Be brief."}, '
        '{"role": "user", "content": "Why?"}]}\n'
        '  [{"role": "user", "content": "And how?"}]\n',
        encoding="utf-8",
    )
    found = prompts.read(path)
    assert [prompts.title(messages) for messages in found] == ["What is a key?", "Why?", "And how?"]
    assert found[0] == [{"role": "user", "content": "What is a key?"}]
    assert len(found[1]) == 2
    assert prompts.title([{"role": "user", "content": [{"type": "text"}]}]) == "(a conversation)"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "has no prompts"),
        (b" \n\n", "has no prompts"),
        (b"Hi\n{oops\n", "line 2: it begins like JSON"),
        (b'{"prompt": "Hi"}', "line 1: write"),
        (b'{"messages": []}', "line 1: write"),
        (b'["Hi"]', "line 1: each message needs a `role`"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"a\n" * 10_001, "10,001 prompts; 10,000 can be compared"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path, text, sentence):
    path = tmp_path / "prompts.txt"
    path.write_bytes(text)
    with pytest.raises(Invalid, match=sentence):
        prompts.read(path)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path, monkeypatch):
    with pytest.raises(Invalid, match="cannot be read: No such file"):
        prompts.read(tmp_path / "none")
    (tmp_path / "large").write_text("abc")
    monkeypatch.setattr(prompts, "FILE_BYTES_MAX", 2)
    with pytest.raises(Invalid, match="larger"):
        prompts.read(tmp_path / "large")
