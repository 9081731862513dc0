"""`keyhall tokens count`: the server's count without a server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import keyhall
from keyhall.cli import main

REQUEST = {
    "model": "v1",
    "messages": [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "What is a key?"},
    ],
}
REQUEST_TOKENS = 3 + (3 + 1 + 4) + (3 + 1 + 5)


def count(*arguments: str, sent: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["tokens", "count", *arguments], input=sent)


def counted(*arguments: str, sent: str | bytes | None = None) -> dict[str, Any]:
    done = count(*arguments, "--json", sent=sent)
    assert done.exit_code == 0, done.output
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_request_in_a_file_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(REQUEST))
    done = count(str(path))
    assert done.stdout == "20 tokens (o200k_base); fits: 4,076 of 4,096 left\n"
    assert counted(str(path)) == {
        "tokens": REQUEST_TOKENS,
        "encoding": "o200k_base",
        "limit": 4096,
        "left": 4076,
        "fits": True,
        "messages": 2,
    }


@pytest.mark.parametrize("value", [REQUEST, {"messages": REQUEST["messages"]}, REQUEST["messages"]])
def test_a_list_of_messages_is_as_good_as_a_request(value: Any) -> None:
    assert counted("-", sent=json.dumps(value))["tokens"] == REQUEST_TOKENS


def test_a_byte_order_mark_is_no_obstacle() -> None:
    """Editors on some systems put it there."""
    assert counted("-", sent=b"\xef\xbb\xbf" + json.dumps(REQUEST).encode())["messages"] == 2


def test_plain_text_counts_without_a_message_around_it() -> None:
    result = counted("-", "--text", sent="one two three")
    assert (result["tokens"], "messages" in result) == (3, False)


@pytest.mark.parametrize(
    ("arguments", "encoding"),
    [
        (["--model", "gpt-4"], "cl100k_base"),
        (["--model", "gpt-4o-mini"], "o200k_base"),
        (["--model", "text-davinci-003"], "o200k_base"),
        (["--model", "v1.1"], "o200k_base"),
        (["--model", "gpt-4o", "--encoding", "cl100k_base"], "cl100k_base"),
    ],
)
def test_the_model_or_the_encoding_decides_how_to_count(
    arguments: list[str], encoding: str
) -> None:
    assert counted("-", "--text", *arguments, sent="x")["encoding"] == encoding


def test_a_name_that_says_no_tokenizer_gets_a_note() -> None:
    done = count("-", "--text", "--model", "house-1", sent="x")
    assert done.stdout.startswith("1 token (o200k_base); fits")
    assert done.stderr == (
        "house-1 is not known here: counted with o200k_base; say --encoding for a version with "
        "another tokenizer.\n"
    )
    assert "say --encoding" in counted("-", "--text", "--model", "house-1", sent="x")["note"]
    assert "note" in counted("-", sent=json.dumps({**REQUEST, "model": "text-davinci-003"}))
    for known in ("v1", "sandbox/slow", "gpt-4o"):
        assert "note" not in counted("-", "--text", "--model", known, sent="x")
    said = count("-", "--text", "--model", "house-1", "--encoding", "cl100k_base", sent="x")
    assert said.stderr == ""


def test_the_model_of_the_request_decides_where_nothing_is_said() -> None:
    assert counted("-", sent=json.dumps({**REQUEST, "model": "gpt-4"}))["encoding"] == "cl100k_base"


def test_what_is_too_long_is_told_with_the_numbers() -> None:
    """Not an error of the command: it counted what it was asked to count."""
    done = count("-", "--limit", "12", sent=json.dumps(REQUEST))
    assert done.exit_code == 0
    assert done.stdout == "20 tokens (o200k_base); too long: 8 more than 12\n"


def test_r21_what_truncation_would_leave_is_told() -> None:
    said = [{"role": "user", "content": "one two"}, {"role": "assistant", "content": "three"}]
    request = json.dumps({"messages": [*said * 3, said[0]], "truncation": "auto"})
    result = counted("-", "--limit", "20", sent=request)
    assert result["shortened"] == {
        "tokens": 3 + 6 + 5 + 6,
        "messages": 3,
        "dropped_messages": 4,
        "dropped_tokens": 22,
    }
    told = count("-", "--limit", "20", sent=request).stdout.splitlines()
    assert told[1] == "Truncation leaves out 4 messages with 22 tokens; 20 remain"
    told = count("-", "--limit", "38", sent=request).stdout.splitlines()
    assert told[1].startswith("Truncation leaves out 1 message with 6 tokens; ")


def test_r21_where_truncation_cannot_help_that_is_told() -> None:
    request = json.dumps({**REQUEST, "truncation": "auto"})
    assert counted("-", "--limit", "12", sent=request)["shortened"] is None
    assert "Truncation cannot help" in count("-", "--limit", "12", sent=request).stdout


@pytest.mark.parametrize(
    ("arguments", "sent", "message"),
    [
        ([], b"one two", "Standard input is not JSON"),
        ([], b"one two", "add --text"),
        ([], b"\xff\xfe", "Standard input is not JSON"),
        ([], b"[" * 100_000, "Standard input is not JSON"),
        ([], b"5", "Standard input is not a chat request"),
        ([], b"{}", "Missing required parameter: 'messages'"),
        ([], b'[{"role": "usr"}]', "Invalid value: 'usr'"),
        (["--text"], b"one \xff", "Standard input is not UTF-8 text: see byte 4."),
    ],
)
def test_what_cannot_be_counted_is_refused_in_one_line(
    arguments: list[str], sent: bytes, message: str
) -> None:
    done = count("-", *arguments, sent=sent)
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_is_not_there_is_told_by_its_name() -> None:
    done = count("nowhere.json")
    assert done.exit_code == 2
    assert "'nowhere.json' does not exist" in done.stderr


def test_a_bad_file_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("one two")
    assert f"{path} is not JSON" in count(str(path)).stderr


def test_the_examples_of_the_documentation_print_what_it_says(tmp_path: Path) -> None:
    page = (Path(keyhall.__file__).parent / "docs/tokens.md").read_text(encoding="utf-8")
    (tmp_path / "conversation.json").write_text(json.dumps(REQUEST["messages"]))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    examples = re.findall(r"^\$ (.*keyhall tokens count.*)\n((?:.+\n)+?)(?=\n|```)", page, re.M)
    assert len(examples) == 2
    for command, printed in examples:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout == printed
