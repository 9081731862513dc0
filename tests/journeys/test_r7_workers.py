"""R7, R14: several processes serve as one: what one is told, all know, and one that dies is missed
by nobody."""

import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "running"))  # No packages in tests.

from hall_process import Premises
from patience import PATIENCE_SECONDS, stretched

from keyhall.cli import main

KNOWN_SECONDS_MAX = 1.0
CUT_SECONDS_MAX = 2.0
BACK_SECONDS_MAX = 5.0


class Many:
    """Premises whose server has two workers, on a database and a Redis of the test's own."""

    def __init__(self, folder, postgres, redis):
        self.premises = Premises(folder)
        self._postgres = postgres
        self.url = postgres.create()
        self.environ = {
            "KEYHALL_DATABASE_URL": self.url,
            "KEYHALL_REDIS_URL": redis.url,
            # No Redis is away here: one that a busy machine wakes late is only late.
            "KEYHALL_REDIS_REPLY_SECONDS": "1.0",
            "KEYHALL_SERVER_WORKERS": "2",
            "KEYHALL_SERVER_PORT": str(self.premises.port),
            "KEYHALL_SANDBOX_TOKENS_PER_SECOND": "50",
        }

    def run(self, *arguments):
        """A command, in a process of its own; JSON."""
        environ = {**self.premises.environment(), **self.environ}
        done = CliRunner().invoke(main, [*arguments, "--json"], env=environ)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def key(self, *options):
        return self.run("keys", "create", "--name", "test", "--tier", "roomy", *options)

    def usage(self):
        query = "SELECT request_id, outcome, output_tokens FROM usage ORDER BY number"
        return self._postgres.ask(lambda line: line.fetch(query), self.url)


@pytest.fixture
def many(tmp_path, postgres, redis_server):
    redis_server.tell("FLUSHALL")
    made = Many(tmp_path, postgres, redis_server)
    yield made
    postgres.drop(made.url)


@pytest.fixture
def serving(many):
    process = many.premises.start(environ=many.environ)
    yield process
    process.end()


def get(process, path):
    with urllib.request.urlopen(f"{process.url}{path}", timeout=PATIENCE_SECONDS) as answer:
        return answer.read().decode()


def ask(process, key, text="Hello", **more):
    """The status of one answer on a connection of its own, and its `code`."""
    body = {"model": "v1", "messages": [{"role": "user", "content": text}], **more}
    request = urllib.request.Request(
        f"{process.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def workers_of(process, count=2):
    """Wait until each of them has answered."""
    found = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found) < count and time.monotonic() < deadline:
        found.add(json.loads(get(process, "/healthz"))["worker"])
    assert found == set(range(1, count + 1))


def pids_of(process):
    return process.children()


def seconds_until_all_say(process, key, status):
    """From now to the last request that was answered otherwise; each goes to some worker."""
    began = last = time.monotonic()
    right = 0
    while right < 12:
        at = time.monotonic()
        assert at - began < PATIENCE_SECONDS
        if ask(process, key)[0] == status:
            right += 1
        else:
            right, last = 0, at
    return last - began


def until(true, seconds):
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it takes too long"
        time.sleep(0.01)
    return time.monotonic() - began


def test_r7_several_workers_without_what_they_share_are_refused(tmp_path):
    environ = {"KEYHALL_DATA": str(tmp_path / "data")}
    refused = CliRunner().invoke(main, ["serve", "--workers", "2"], env=environ)
    assert refused.exit_code == 1
    assert "2 workers need PostgreSQL (KEYHALL_DATABASE_URL) and Redis" in refused.output
    environ["KEYHALL_DATABASE_URL"] = "postgresql://me@127.0.0.1:1/x"
    refused = CliRunner().invoke(main, ["serve", "--workers", "2"], env=environ)
    assert "need Redis or Valkey (KEYHALL_REDIS_URL): without" in refused.output
    assert not (tmp_path / "data").exists()


def test_a_first_start_that_fails_is_told_once_and_ends_with_1(many):
    many.environ["KEYHALL_DATABASE_URL"] = "postgresql://me@127.0.0.1:1/x"
    process = many.premises.spawn(environ=many.environ)
    assert process.popen.wait(PATIENCE_SECONDS) == 1
    assert process.log.read_text().count("cannot be used") == 1


def test_r7_two_workers_serve_as_one_and_stop_as_one(many, serving):
    workers_of(serving)
    said = serving.log.read_text()
    assert said.count("Your first key") == 1
    assert said.count("Stop with Ctrl-C") == 1
    key = many.key()["key"]
    assert Counter(ask(serving, key)[0] for _ in range(20)) == {200: 20}
    labels = {line for line in get(serving, "/metrics").splitlines() if "keyhall_drains" in line}
    assert any('worker="' in line for line in labels)
    assert serving.stop() == 0
    rows = many.usage()
    assert len({row["request_id"] for row in rows}) == len(rows) == 20
    assert not list(many.premises.data.glob("journal-*.bin")), "a stop that was one"


def test_r7_the_first_worker_refuses_nobody_while_the_others_start(many):
    """On a Redis that knows nothing: nobody has counted what it does not know of."""
    for _ in range(2):
        key = many.key()["key"]
        process = many.premises.start(environ=many.environ)
        try:
            assert Counter(ask(process, key)[0] for _ in range(10)) == {200: 10}
            workers_of(process)
            assert Counter(ask(process, key)[0] for _ in range(20)) == {200: 20}
            assert process.stop() == 0
        finally:
            process.end()


def test_r14_what_a_command_changes_every_worker_knows_within_a_second(many, serving):
    workers_of(serving)
    fresh = many.key()
    key, said = fresh["key"], {}

    def read():
        said["text"] = ask(serving, key, stream=True, model="sandbox/slow")[1]
        said["at"] = time.monotonic()

    assert seconds_until_all_say(serving, key, 200) < stretched(KNOWN_SECONDS_MAX)
    streams = threading.Thread(target=read)
    streams.start()
    many.run("keys", "pause", fresh["id"])
    assert seconds_until_all_say(serving, key, 401) < stretched(KNOWN_SECONDS_MAX)
    many.run("keys", "resume", fresh["id"])
    assert seconds_until_all_say(serving, key, 200) < stretched(KNOWN_SECONDS_MAX)
    many.run("keys", "limits", fresh["id"], "--rpm", "1")
    assert seconds_until_all_say(serving, key, 429) < stretched(KNOWN_SECONDS_MAX)
    assert streams.is_alive(), "a paused key's running stream finishes"
    many.run("keys", "revoke", fresh["id"])
    revoked_at = time.monotonic()
    assert seconds_until_all_say(serving, key, 401) < stretched(KNOWN_SECONDS_MAX)
    streams.join(PATIENCE_SECONDS)
    assert said["at"] - revoked_at < stretched(CUT_SECONDS_MAX)
    assert "key_revoked" in said["text"]
    assert "[DONE]" not in said["text"]


def test_two_machines_that_start_at_once_on_an_empty_database_make_one_hall(
    many, tmp_path, postgres, redis_server
):
    """Each has a data folder of its own; what a start makes once is made once."""
    (tmp_path / "other").mkdir()
    other = Many(tmp_path / "other", postgres, redis_server)
    postgres.drop(other.url)
    other.url = many.url
    shared = {"KEYHALL_DATABASE_URL": many.url, "KEYHALL_KEYS_PEPPER": "ab" * 32}
    machines = []
    for each in (many, other):
        each.environ |= {**shared, "KEYHALL_SERVER_WORKERS": "1"}
        machines.append(each.premises.spawn(environ=each.environ))
    try:
        for machine in machines:
            machine.wait_until_ready()
            until(lambda log=machine.log: "Stop with Ctrl-C" in log.read_text(), PATIENCE_SECONDS)
        said = [machine.log.read_text() for machine in machines]
        assert sum(text.count("Your first key") for text in said) == 1
        key = many.key()["key"]
        assert [ask(machine, key)[0] for machine in machines] == [200, 200]
        assert [machine.stop() for machine in machines] == [0, 0]
    finally:
        for machine in machines:
            machine.end()
    assert len(many.usage()) == 2


@pytest.mark.slow
def test_f1_a_worker_that_is_killed_is_replaced_and_loses_nothing(many, serving):
    workers_of(serving)
    key = many.key()["key"]
    before = pids_of(serving)
    assert len(before) == 2
    answered = Counter(ask(serving, key)[0] for _ in range(10))
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(set(pids_of(serving)) - {before[0]}) == 2, stretched(BACK_SECONDS_MAX))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            answered[ask(serving, key)[0]] += 1
            if sum(answered.values()) >= 30:
                break
        except OSError:
            continue
    workers_of(serving)
    assert "worker_died" in serving.log.read_text()
    assert serving.stop() == 0
    rows = many.usage()
    assert len({row["request_id"] for row in rows}) == len(rows)
    assert len(rows) == answered[200]


@pytest.mark.slow
def test_workers_stop_by_themselves_when_their_parent_is_gone(many, serving):
    pids = pids_of(serving)
    serving.popen.kill()
    serving.popen.wait()

    def gone():
        return not any(Path(f"/proc/{pid}/stat").exists() for pid in pids)

    until(gone, PATIENCE_SECONDS)
