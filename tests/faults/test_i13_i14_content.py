"""I-13 and I-14 on a real server: every byte of every file that it leaves is read.

With retention `none` nothing of a conversation is in any of them, whatever became of the request,
after a kill -9 neither. With `1 day` it is found through the product and nowhere in clear, and
after its time its very ciphertext is gone: from the database, its log, and every later backup.
"""

import json
import resource
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from command_line import keyhall_json

MARK = "canary5d81"  # A part of everything that a caller says here.
SCRIPTS = ("error-500-then-ok", "cut-mid-stream", "429", "content-filter", "long")
LOUD = """
[sandbox]
tokens_per_second = 0

[log]
requests = "all"
level = "debug"
"""


def call(url, key, body, path="/v1/chat/completions", **headers):
    """Status and body; of a stream that breaks, what had come."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(f"{url}{path}", data=data)
    given = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"} | headers
    for name, value in given.items():
        asked.add_header(name, value)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, ValueError) as error:
        return 0, repr(error).encode()


def leaves_in_the_middle(url, key, body):
    host, port = url.removeprefix("http://").split(":")
    data = json.dumps(body | {"stream": True}).encode()
    with socket.create_connection((host, int(port))) as line:
        line.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: hall\r\n"
            b"Content-Type: application/json\r\nAuthorization: Bearer %b\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (key.encode(), len(data), data)
        )
        line.recv(200)


def bodies(number):
    """Requests of every kind, each with a mark of its own in every place where words may be."""
    said = f"{MARK}-{number}"
    usual = {"model": "v1", "messages": [{"role": "user", "content": said}], "max_tokens": 9}
    yield usual | {"stream": bool(number % 2), "user": said, "metadata": {"a": said}}
    yield usual | {"model": f"sandbox/{SCRIPTS[number % len(SCRIPTS)]}", "stream": True}
    kinds = (
        usual | {"model": said},
        usual | {said: 1},
        usual | {"messages": [{"role": said, "content": said}]},
        usual | {"messages": [{"role": "user", "content": [{"type": said, "text": said}]}]},
        usual | {"messages": [{"role": "tool", "content": said, "tool_call_id": said}]},
        usual | {"n": said},
        usual | {"stop": [said] * 9},
        usual | {"max_tokens": 999_999_999},
        usual | {"messages": [{"role": "user", "content": f"{said} " * 20_000}]},
        usual | {"tools": [{"type": "function", "function": {"name": f"{said} !"}}]},
        usual | {"response_format": {"type": said}},
        f'{{"model": "v1", "messages": "{said}'.encode(),
        f"\xff{said}".encode("latin-1"),
    )
    yield kinds[number % len(kinds)]


def files_of(folder: Path):
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()


def assert_nowhere(folder, *words):
    found = [
        (path.name, word)
        for path, content in files_of(folder)
        for word in words
        if word in content or word.decode("latin-1").encode("utf-16-le") in content
    ]
    assert found == []


@pytest.fixture
def place(premises, tmp_path):
    """Premises that log all they can, with the temporary files of the server beside them."""
    premises.config.write_text(premises.config.read_text() + LOUD)
    (tmp_path / "temporary").mkdir()
    return premises


def opened(place, started, tmp_path):
    server = started(environ={"TMPDIR": str(tmp_path / "temporary")})
    made = keyhall_json(
        place.data, place.config, "keys", "create", "--name", "app", "--tier", "roomy"
    )
    return server, made["key"]


@pytest.mark.parametrize("rounds", [26, pytest.param(500, marks=pytest.mark.slow)])
def test_i13_with_retention_none_no_file_has_a_word(place, started, tmp_path, rounds):
    """Two requests a round: answered and streamed, refused, failed; some whose client leaves;
    and a kill -9 while answers run."""
    server, key = opened(place, started, tmp_path)
    seen: set[int] = set()
    answers = []
    for number in range(rounds):
        for body in bodies(number):
            status, answer = call(server.url, key, body)
            seen.add(status)
            if status == 200 and not (isinstance(body, dict) and body.get("stream")):
                answers.append(json.loads(answer)["choices"][0]["message"]["content"])
        if number % 10 == 0:
            long = {"model": "sandbox/slow", "max_tokens": 500}
            said = [{"role": "user", "content": f"{MARK}-left-{number}"}]
            leaves_in_the_middle(server.url, key, long | {"messages": said})
    assert {200, 400, 404, 429, 500} <= seen
    call(server.url, MARK, {}), call(server.url, f"sk-kh_live_{MARK}", {})
    assert resource.prlimit(server.pid, resource.RLIMIT_CORE)[0] == 0
    keyhall_json(place.data, place.config, "backup", str(tmp_path))
    assert_nowhere(tmp_path, MARK.encode())
    server.kill()
    assert_nowhere(tmp_path, MARK.encode())
    server = started(environ={"TMPDIR": str(tmp_path / "temporary")})
    assert server.stop() == 0
    whole = [each.encode() for each in answers if each and len(each) > 30]
    assert whole
    assert_nowhere(tmp_path, MARK.encode(), *set(whole))


def kept_rows(data):
    with sqlite3.connect(f"file:{data / 'keyhall.db'}?mode=ro", uri=True) as connection:
        found = connection.execute("SELECT id, sealed FROM content").fetchall()
    connection.close()
    return found


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("rounds", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_i14_with_a_day_it_is_kept_in_cipher_and_gone_after(place, started, tmp_path, rounds):
    """Two requests a round: one that is answered and kept; one that is refused or fails, is cut or
    left, of which nothing is."""
    server, key = opened(place, started, tmp_path)
    said = {
        "model": "v1",
        "messages": [{"role": "user", "content": f"{MARK} " * 200}],
        "max_tokens": 9,
    }
    keyhall_json(place.data, place.config, "projects", "retention", "Default project", "1d")
    time.sleep(0.3)  # A change is in force within 200 ms (R14).
    for number in range(rounds):
        status, _ = call(server.url, key, said | {"stream": bool(number % 2)})
        assert status == 200
        *_, refused = bodies(number)
        status, _ = call(server.url, key, refused)
        assert 400 <= status < 500, refused
        if number % 10 == 0:
            leaves_in_the_middle(server.url, key, said | {"model": "sandbox/slow"})
    until(lambda: len(kept_rows(place.data)) == rounds)
    kept = kept_rows(place.data)
    found = keyhall_json(
        place.data, place.config, "content", "show", kept[0][0], "--why", "to see that it is there"
    )
    assert MARK in found["messages"][0]["content"]
    before = tmp_path / "before.tar"
    keyhall_json(place.data, place.config, "backup", str(before))
    assert_nowhere(tmp_path, MARK.encode())
    # What a disk would tell of them; of twenty, for each is looked for in every byte of all files.
    pieces = [sealed[100:132] for _, sealed in kept[:: rounds // 20]]
    assert any(piece in before.read_bytes() for piece in pieces)
    server.kill()  # The log that was not carried over is there still.
    with sqlite3.connect(place.data / "keyhall.db") as connection:
        connection.execute("UPDATE content SET keep_until_us = keep_until_us - 86400000000")
    connection.close()
    server = started(environ={"TMPDIR": str(tmp_path / "temporary")})
    until(lambda: not kept_rows(place.data))
    until(lambda: (place.data / "keyhall.db-wal").stat().st_size == 0)
    assert_nowhere(place.data, MARK.encode(), *pieces)
    after = tmp_path / "after.tar"
    keyhall_json(place.data, place.config, "backup", str(after))
    assert not any(piece in after.read_bytes() for piece in pieces)
    before.unlink()  # The rotation of backups is whose they are.
    assert_nowhere(tmp_path, MARK.encode(), *pieces)
    assert server.stop() == 0
    assert_nowhere(tmp_path, MARK.encode(), *pieces)


@pytest.mark.slow
def test_i14_what_a_backup_held_is_not_readable_again(place, started, tmp_path):
    """A backup is put back after the time of what it holds: it reads as gone, and then is."""
    server, key = opened(place, started, tmp_path)
    keyhall_json(place.data, place.config, "projects", "retention", "Default project", "1d")
    time.sleep(0.3)
    said = {"model": "v1", "messages": [{"role": "user", "content": MARK}], "max_tokens": 9}
    assert call(server.url, key, said)[0] == 200
    until(lambda: len(kept_rows(place.data)) == 1)
    (row,) = kept_rows(place.data)
    assert server.stop() == 0
    with sqlite3.connect(place.data / "keyhall.db") as connection:
        connection.execute("UPDATE content SET keep_until_us = 1")
    connection.close()
    keyhall_json(place.data, place.config, "backup", str(tmp_path / "old.tar"))
    pepper = (place.data / "pepper").read_bytes()
    place.data = tmp_path / "restored"
    place.data.mkdir(mode=0o700)
    (place.data / "pepper").write_bytes(pepper)
    (place.data / "pepper").chmod(0o600)
    keyhall_json(place.data, place.config, "restore", str(tmp_path / "old.tar"))
    assert keyhall_json(place.data, place.config, "content", "list") == []
    assert len(kept_rows(place.data)) == 1
    server = started()
    until(lambda: not kept_rows(place.data))
    assert server.stop() == 0
    assert_nowhere(place.data, row[1][20:52])


@pytest.mark.slow
def test_i13_what_a_review_needed_is_in_cipher_and_gone_a_day_after_the_decision(
    place, started, tmp_path
):
    """With retention `none`: of an answer that waited for a person, its correction, a note and
    words of feedback; also where the server is killed in between."""
    server, key = opened(place, started, tmp_path)
    keyhall_json(place.data, place.config, "review", "rules", "Default project", "--hold", "always")
    time.sleep(0.3)
    said = {"model": "v1", "messages": [{"role": "user", "content": MARK}], "max_tokens": 40}
    told = []
    for _ in range(10):
        status, answer = call(server.url, key, said)
        assert status == 202
        told.append(json.loads(answer))
    feedback = {"completion_id": told[0]["completion_id"], "thumb": "down", "comment": MARK}
    assert call(server.url, key, feedback, "/v1/keyhall/feedback")[0] == 200
    server.kill()
    server = started(environ={"TMPDIR": str(tmp_path / "temporary")})
    words = tmp_path / "words"
    words.write_text(MARK)
    for each in told[:5]:
        keyhall_json(place.data, place.config, "review", "claim", each["id"])
        how = ("edit", "--score", "1", "--text", str(words), "--note", MARK)
        keyhall_json(place.data, place.config, "review", "decide", each["id"], *how)
    words.unlink()
    asked = urllib.request.Request(f"{server.url}/v1/keyhall/reviews/{told[0]['id']}")
    asked.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert MARK.encode() in answer.read()
    assert_nowhere(tmp_path, MARK.encode())
    kept = kept_rows(place.data)
    assert len(kept) == 10 * 2 + 5 + 1
    pieces = [sealed[12:44] for _, sealed in kept]
    server.kill()
    with sqlite3.connect(place.data / "keyhall.db") as connection:  # A day and 90 days later.
        connection.execute("UPDATE content SET held_until_us = 1 WHERE held_until_us > 0")
        connection.execute("UPDATE content SET keep_until_us = 1 WHERE keep_until_us > 0")
    connection.close()
    server = started(environ={"TMPDIR": str(tmp_path / "temporary")})
    until(lambda: not kept_rows(place.data))
    until(lambda: (place.data / "keyhall.db-wal").stat().st_size == 0)
    assert_nowhere(tmp_path, MARK.encode(), *pieces)
    assert server.stop() == 0
