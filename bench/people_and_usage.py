"""What a page of the console costs on a hall with a million requests.

    python bench/people_and_usage.py [--rows 1000000] [--data FOLDER] [--loads 20]

Makes a folder with 1,000 accounts, 10,000 keys and so many usage rows over 90 days, half of them in
one organization, a few keys busy and most of them not; refusals beside them. Starts a server on it,
signs its operator in and loads pages one at a time: those of `/usage` and `/requests` with what can
be asked of them, then every other page that needs no parameter, and some that do. Told are the
first load, the median and the 95th percentile of the others, from the request's first byte to the
answer's last, the CPU time of the server's threads for one, and the bytes of a page. A folder that
is there already is used as it is. SQLite only. A minute or two, most of it for the rows.
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
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from keyhall.clock import SystemClock
from keyhall.console.routes import ROUTES
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

USAGE = {
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
    "usage, 90 days of a person": "/usage?range=90d&person={person}",
    "usage data, 24 hours": "/usage/data?range=24h",
    "usage data, 24 hours by the minute": "/usage/data?range=24h&grain=minute&by=model",
    "usage data, 90 days by key": "/usage/data?range=90d&by=key",
    "requests": "/requests",
    "requests of a key": "/requests?key={busy}",
    "requests of a rare key": "/requests?key={rare}",
    "requests not finished": "/requests?outcome=unanswered",
    "requests refused": "/requests?outcome=refused",
    "requests, an older page": "/requests?before={older}-",
    "new requests": "/requests/new?after={after}",
    "a request": "/requests/req_{request}",
    "keys, the second page": "/keys?page=2",
    "keys, searched": "/keys?q=Key+7",
    "a key": "/keys/{busy}",
    "a key to revoke": "/keys/{busy}/revoke",
    "a key, still used?": "/keys/{busy}/still-used",
    "limits of a key": "/limits?key={busy}",
    "a project": "/projects/{project}",
    "an organization": "/organizations/{organization}",
    "a version": "/models/version/{version}",
    "an alias": "/models/alias/v1",
    "a member to remove": "/people/{person}/remove",
}
LEFT_OUT = {"/live/limits", "/models/alias"}  # one has no end, one leads to another


def pages() -> dict[str, str]:
    """Every page of the console that needs no parameter, and those above."""
    found = dict(USAGE)
    paths = {page.path for page in ROUTES if page.method == "GET" and "{" not in page.path}
    return found | {path: path for path in sorted(paths - LEFT_OUT - set(found.values()))}


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
            "person": one(f"SELECT account_id FROM keys WHERE id = (SELECT key_id {of} DESC)")[0],
            "project": home,
            "organization": owner,
            "version": VERSIONS[0],
            "older": str(request[1] + 45 * DAY_US),
            "after": f"{numbers[0] - 5_000}.{numbers[1]}",
            "keys": str(one("SELECT count(*) FROM keys")[0]),
            "rows": str(one("SELECT count(*) FROM usage")[0]),
            "hours": str(one("SELECT count(*) FROM usage_hourly")[0]),
        }


async def _link(data: Path) -> str:
    """The set-up link, or the page to sign in on for a folder that was measured before."""
    store = await open_database("", data)
    try:
        link = await links.set_up(store, f"http://127.0.0.1:{PORT}", SystemClock().now_us())
    finally:
        await store.close()
    return "/sign-in" if link is None else link.reveal()


def _sign_in(client: httpx2.Client, link: str) -> None:
    client.get(link)
    headers = {"origin": f"http://127.0.0.1:{PORT}", "sec-fetch-site": "same-origin"}
    form = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
    answer = client.post(link, data=form, headers=headers)
    assert answer.status_code == 303, answer.text


@dataclass(slots=True)
class Loads:
    """Of one page."""

    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)  # of the server
    bytes: int = 0


def measure(data: Path, loads: int, only: str) -> dict[str, Loads]:
    facts = _facts(data)
    print({name: facts[name] for name in ("keys", "rows", "hours")})
    command = [sys.executable, "-m", "keyhall", "serve", "--port", str(PORT), "--data", str(data)]
    log = subprocess.DEVNULL
    server = subprocess.Popen(command, stdout=log, stderr=log)
    found: dict[str, Loads] = {}
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client:
            _until_ready(client)
            _sign_in(client, asyncio.run(_link(data)))  # A start makes one that ends others.
            for name, address in pages().items():
                if only in name:
                    found[name] = _loads(client, server.pid, address.format(**facts), loads)
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


def _loads(client: httpx2.Client, pid: int, address: str, loads: int) -> Loads:
    found = Loads()
    for _ in range(loads + 1):
        cpu, began = _cpu_ms(pid), time.perf_counter()
        answer = client.get(address, headers={"accept": "text/html"})
        found.ms.append((time.perf_counter() - began) * 1000)
        found.cpu_ms.append(_cpu_ms(pid) - cpu)
        found.bytes = len(answer.content)
        assert answer.status_code in (200, 303), (address, answer.status_code)
    return found


def _cpu_ms(pid: int) -> float:
    """What the scheduler gave to the threads of a process."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e6


def told(found: dict[str, Loads]) -> str:
    head = f"{'milliseconds':36}{'first':>8}{'p50':>8}{'p95':>8}{'CPU':>8}{'kB':>8}"
    lines = [head]
    for name, loads in found.items():
        first, *others = loads.ms
        p95 = statistics.quantiles(others, n=20)[-1]
        cpu = statistics.median(loads.cpu_ms[1:])
        numbers = (first, statistics.median(others), p95, cpu, loads.bytes / 1000)
        lines.append(f"{name:36}" + "".join(f"{each:8.1f}" for each in numbers))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default="", help="pages that have this in their name")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keyhall-bench-") as text:
        data = arguments.data or Path(text) / "data"
        if not (data / FILE).exists():
            make(data, arguments.rows)
        print(told(measure(data, arguments.loads, arguments.only)))


if __name__ == "__main__":
    main()
