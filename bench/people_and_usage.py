"""What a page of the console costs on a hall with a million requests.

    python bench/people_and_usage.py [--rows 1000000] [--data FOLDER] [--loads 20]

Makes a folder with 1,000 accounts, 10,000 keys and so many usage rows over 90 days, half of them in
one organization, a few keys busy and most of them not; refusals beside them. Starts a server on it,
signs its operator in and times pages of `/usage` and `/requests` one at a time: from the request's
first byte to the answer's last, on an idle machine. A folder that is there already is used as it
is. SQLite only. A minute or two, most of it for the rows.
"""

import argparse
import asyncio
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from keyhall.clock import SystemClock
from keyhall.flows import first_run
from keyhall.flows.accounts import links
from keyhall.policy.metering import Endpoint, Outcome, Usage, UsageSource
from keyhall.stores import organizations
from keyhall.stores.opening import FILE, open_database
from keyhall.stores.pepper import load_peppers

ACCOUNTS, KEYS, ORGANIZATIONS, PROJECTS = 1_000, 10_000, 20, 5
DAYS = 90
DAY_US = 86_400_000_000
BATCH = 5_000
VERSIONS = ("v1-sandbox-1", "v1.1-sandbox-1", "gpt-4o-mini-openai-1")
ROWS = ("rate_requests", "rate_tokens", "context_length", "model_unknown")
PORT = 8514
PASSWORD = "correct horse battery"

PAGES = {
    "usage, 1 hour": "/usage?range=1h",
    "usage, 24 hours": "/usage?range=24h",
    "usage, 24 hours by the minute": "/usage?range=24h&grain=minute&by=model",
    "usage, 7 days by key": "/usage?range=7d&by=key",
    "usage, 30 days": "/usage?range=30d",
    "usage, 30 days by key, compared": "/usage?range=30d&by=key&compare=yes",
    "usage, 30 days by person": "/usage?range=30d&by=person",
    "usage, 30 days by outcome": "/usage?range=30d&by=outcome",
    "usage, 90 days": "/usage?range=90d",
    "usage, 90 days by key": "/usage?range=90d&by=key",
    "usage, 90 days by model": "/usage?range=90d&by=model",
    "usage, 90 days of a key": "/usage?range=90d&key={busy}",
    "usage, 90 days of a rare key": "/usage?range=90d&key={rare}",
    "usage data, 24 hours": "/usage/data?range=24h",
    "requests": "/requests",
    "requests of a key": "/requests?key={busy}",
    "requests of a rare key": "/requests?key={rare}",
    "requests not finished": "/requests?outcome=unanswered",
    "requests refused": "/requests?outcome=refused",
    "requests, an older page": "/requests?before={older}-",
    "new requests": "/requests/new?after={after}",
    "a request": "/requests/req_{request}",
}


# --- The folder -----------------------------------------------------------------------------------


def make(data: Path, rows: int) -> None:
    dice = random.Random(1)
    now_us = SystemClock().now_us()
    data.mkdir(parents=True, mode=0o700)
    home = asyncio.run(_house(data, now_us))
    with sqlite3.connect(data / FILE) as connection:
        owners = _people(connection, home, now_us, dice)
        _refusals(connection, owners, now_us, dice)
    asyncio.run(_usage(data, owners, rows, now_us, dice))


async def _house(data: Path, now_us: int) -> tuple[str, str]:
    peppers = load_peppers(data)
    store = await open_database("", data)
    try:
        await first_run.sync_tiers(store, {}, now_us)
        await first_run.prepare_without_key(store, peppers, now_us, os.urandom)
        async with store.reading() as connection:
            project = await organizations.default_project(connection)
    finally:
        await store.close()
    assert project is not None
    return project.organization_id, project.id


Owner = tuple[str, str, str]  # key, project, organization


def _people(
    connection: sqlite3.Connection, home: tuple[str, str], now_us: int, dice: random.Random
) -> list[Owner]:
    others = [f"org_{number:012}" for number in range(1, ORGANIZATIONS)]
    connection.executemany(
        "INSERT INTO organizations (id, name, created_at_us) VALUES (?, ?, ?)",
        [(id, f"Organization {number}", now_us) for number, id in enumerate(others)],
    )
    projects = [(home[1], home[0])]
    projects += [
        (f"proj_{number:012}", (home[0], *others)[number % ORGANIZATIONS])
        for number in range(1, ORGANIZATIONS * PROJECTS)
    ]
    connection.executemany(
        "INSERT INTO projects (id, organization_id, name, created_at_us) VALUES (?, ?, ?, ?)",
        [(id, owner, f"Project {number}", now_us) for number, (id, owner) in enumerate(projects)][
            1:
        ],
    )
    of = {}
    for id, owner in projects:
        of.setdefault(owner, []).append(id)
    people, keys, found = [], [], []
    for number in range(ACCOUNTS):
        owner = home[0] if number % 2 else others[number % len(others)]
        people.append((f"user_{number:012}", owner))
        for each in range(KEYS // ACCOUNTS):
            id = f"key_{number * 10 + each:012}"
            project = dice.choice(of[owner])
            found.append((id, project, owner))
            keys.append(
                (id, project, people[-1][0], f"Key {each} of {number}", "live", dice.randbytes(32),
                 "bench", "sk-kh_live_...", id, "free-trial", now_us)
            )  # fmt: skip
    connection.executemany(
        "INSERT INTO accounts (id, name, created_at_us) VALUES (?, ?, ?)",
        [(id, f"Person {number}", now_us) for number, (id, _) in enumerate(people)],
    )
    connection.executemany(
        "INSERT INTO members (organization_id, account_id, role, created_at_us) "
        "VALUES (?, ?, 'member', ?)",
        [(owner, id, now_us) for id, owner in people],
    )
    connection.executemany(
        "INSERT INTO keys (id, project_id, account_id, name, mode, digest, pepper, masked, lineage,"
        f" tier, created_at_us) VALUES ({', '.join('?' * 11)})",
        keys,
    )
    return found


def _refusals(
    connection: sqlite3.Connection, owners: list[Owner], now_us: int, dice: random.Random
) -> None:
    rows = []
    for number in range(100_000):
        owner = owners[int(len(owners) * dice.random() ** 3)]
        at_us = now_us - dice.randrange(30 * DAY_US)
        row = dice.choice(ROWS)
        rows.append((f"{at_us:014x}{number:018x}", *owner, row, 429, at_us, 0, VERSIONS[0], "{}"))
    rows.sort(key=lambda row: row[6])
    connection.executemany(
        "INSERT INTO refusals (request_id, key_id, project_id, organization_id, row, status, at_us,"
        " is_admitted, version, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    connection.executemany(
        "INSERT INTO refusals_minutes VALUES (?, ?, ?, ?, ?, ?, 3) ON CONFLICT DO NOTHING",
        [(r[6] - r[6] % 60_000_000, r[1], r[4], r[8], r[2], r[3]) for r in rows],
    )


async def _usage(
    data: Path, owners: list[Owner], rows: int, now_us: int, dice: random.Random
) -> None:
    """Most of it by a few keys and in working hours."""
    times = sorted(_time(now_us, dice) for _ in range(rows))
    store = await open_database("", data)
    try:
        for start in range(0, rows, BATCH):
            await store.record_usage(
                [_row(at, owners, dice) for at in times[start : start + BATCH]]
            )
        while await store.roll_up():
            pass
    finally:
        await store.close()


def _time(now_us: int, dice: random.Random) -> int:
    while True:
        at_us = now_us - dice.randrange(DAYS * DAY_US)
        hour = at_us // 3_600_000_000 % 24
        if 7 <= hour < 20 or dice.random() < 0.2:
            return at_us


def _row(at_us: int, owners: list[Owner], dice: random.Random) -> Usage:
    key, project, organization = owners[int(len(owners) * dice.random() ** 3)]
    first = int(dice.lognormvariate(12, 0.6))
    return Usage(
        request_id=at_us.to_bytes(7, "big").hex() + dice.randbytes(9).hex(),
        key_id=key,
        project_id=project,
        organization_id=organization,
        version=dice.choices(VERSIONS, (6, 3, 1))[0],
        endpoint=Endpoint.CHAT,
        is_test=False,
        is_stream=dice.random() < 0.5,
        admitted_at_us=at_us,
        finished_at_us=at_us + first + dice.randrange(2_000_000),
        first_byte_us=first,
        input_tokens=dice.randrange(20, 4_000),
        output_tokens=dice.randrange(1, 800),
        held_tokens=5_000,
        output_cap=800,
        cost_nano=dice.randrange(10_000, 1_000_000),
        outcome=dice.choices((Outcome.ANSWERED, Outcome.CLIENT_LEFT), (97, 3))[0],
        usage_source=UsageSource.ENGINE,
    )


# --- The measurement ------------------------------------------------------------------------------


def _facts(data: Path) -> dict[str, str]:
    with sqlite3.connect(data / FILE) as connection:
        one = lambda sql: connection.execute(sql).fetchone()  # noqa: E731
        home = one("SELECT value FROM meta WHERE name = 'default_project'")[0]
        owner = one(f"SELECT organization_id FROM projects WHERE id = '{home}'")[0]
        of = f"FROM usage_hourly WHERE organization_id = '{owner}' GROUP BY key_id "
        of += "ORDER BY sum(requests)"
        request = one(
            f"SELECT request_id, admitted_at_us FROM usage WHERE organization_id = '{owner}'"
        )
        numbers = one("SELECT (SELECT max(number) FROM usage), (SELECT max(number) FROM refusals)")
        return {
            "busy": one(f"SELECT key_id {of} DESC")[0],
            "rare": one(f"SELECT key_id {of}")[0],
            "request": request[0],
            "older": str(request[1] + 45 * DAY_US),
            "after": f"{numbers[0] - 5_000}.{numbers[1]}",
            "keys": str(one("SELECT count(*) FROM keys")[0]),
            "rows": str(one("SELECT count(*) FROM usage")[0]),
            "hours": str(one("SELECT count(*) FROM usage_hourly")[0]),
        }


async def _link(data: Path) -> str:
    store = await open_database("", data)
    try:
        link = await links.set_up(store, f"http://127.0.0.1:{PORT}", SystemClock().now_us())
    finally:
        await store.close()
    assert link is not None, "somebody has claimed this folder already: make another"
    return link.reveal()


def _sign_in(client: httpx2.Client, link: str) -> None:
    client.get(link)
    headers = {"origin": f"http://127.0.0.1:{PORT}", "sec-fetch-site": "same-origin"}
    form = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
    answer = client.post(link, data=form, headers=headers)
    assert answer.status_code == 303, answer.text


def measure(data: Path, loads: int) -> dict[str, list[float]]:
    facts = _facts(data)
    print({name: facts[name] for name in ("keys", "rows", "hours")})
    command = [sys.executable, "-m", "keyhall", "serve", "--port", str(PORT), "--data", str(data)]
    log = subprocess.DEVNULL
    server = subprocess.Popen(command, stdout=log, stderr=log)
    found: dict[str, list[float]] = {}
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client:
            _until_ready(client)
            _sign_in(client, asyncio.run(_link(data)))  # A start makes one that ends others.
            for name, address in PAGES.items():
                found[name] = [_load(client, address.format(**facts)) for _ in range(loads + 1)][1:]
    finally:
        server.terminate()
        server.wait()
    return found


def _until_ready(client: httpx2.Client) -> None:
    for _ in range(300):
        try:
            if client.get("/healthz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit("The server did not start.")


def _load(client: httpx2.Client, address: str) -> float:
    began = time.perf_counter()
    answer = client.get(address, headers={"accept": "text/html"})
    took = time.perf_counter() - began
    assert answer.status_code == 200, (address, answer.status_code)
    return took * 1000


def told(found: dict[str, list[float]]) -> str:
    lines = [f"{'milliseconds':34}{'p50':>8}{'p95':>8}"]
    for name, times in found.items():
        p95 = statistics.quantiles(times, n=20)[-1]
        lines.append(f"{name:34}{statistics.median(times):8.1f}{p95:8.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keyhall-bench-") as text:
        data = arguments.data or Path(text) / "data"
        if not (data / FILE).exists():
            make(data, arguments.rows)
        print(told(measure(data, arguments.loads)))


if __name__ == "__main__":
    main()
