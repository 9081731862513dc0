"""R17, I-1, F-1: kill -9 at any instant loses no token and doubles none."""

import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from keyhall.policy.metering import Outcome

WORKLOAD = Path(__file__).with_name("kill_workload.py")
INPUT_TOKENS = 100  # As in the workload.


def told(folder):
    """What the children told: for each request the last number of each kind of line."""
    requests = defaultdict(dict)
    for path in folder.glob("truth-*.log"):
        for line in path.read_text().splitlines():
            what, request_id, output = line.split()
            requests[request_id][what] = int(output)
    return requests


def recorded(folder):
    with sqlite3.connect(folder / "usage.db") as connection:
        rows = connection.execute("SELECT id, input, output, cost, outcome FROM usage").fetchall()
    connection.close()
    return {request_id: rest for request_id, *rest in rows}, len(rows)


def check(folder, kills, seed):
    command = [sys.executable, str(WORKLOAD), str(folder), str(kills), str(seed)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr

    requests = told(folder)
    rows, count = recorded(folder)
    assert len(rows) == count
    assert rows.keys() <= requests.keys()
    for request_id, last in requests.items():
        if request_id not in rows:
            assert last.keys() == {"o"}, "an opened request has no record"
            continue
        given, output, cost, outcome = rows[request_id]
        assert last.get("d", 0) <= output <= last.get("p", 0), "recorded is not what was produced"
        assert last.get("p", 0) - last.get("d", 0) <= 1
        assert cost == given + output
        if "S" in last:
            assert (outcome, output) == (Outcome.ANSWERED, last["S"])
        if outcome == Outcome.ANSWERED:
            assert output == last["s"]
        if "A" in last:
            assert given == INPUT_TOKENS
    delivered, produced = (
        sum(last.get(kind, 0) for last in requests.values()) for kind in ("d", "p")
    )
    crashed = [row for row in rows.values() if row[3] == Outcome.CRASHED]
    assert delivered <= sum(row[1] for row in rows.values()) <= produced
    assert produced - delivered <= kills  # One process does one step at a time.
    # The kills hit what they were meant to hit.
    assert crashed
    assert len(rows) > len(crashed)
    assert not list(folder.glob("journal-*"))


def test_r17_kill_9_loses_no_token_and_doubles_none(tmp_path):
    """R17, I-1: in 20 lives of a ledger, each ended by SIGKILL at a random instant."""
    check(tmp_path, kills=20, seed=17)


@pytest.mark.slow
def test_r17_kill_9_two_hundred_times(tmp_path):
    """F-1."""
    check(tmp_path, kills=200, seed=200)
